"""The books: what each layer absorbs is itself a gradient.

Every layer has a page, a leaf of the graph with one zero per image. A step that absorbs relevance
returns what it took as the gradient of its page, and autograd adds it up, in the same backward
pass as the relevance itself and whatever the pass starts from. Nothing is worked out as what is
missing in the end: that the pages and the map add up to what was put in is a test of the engine.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from melaudit.relevance.dataflow.axes import Axis


class Books:
    """The pages of one forward pass over `images` images."""

    def __init__(self, images: int, like: Tensor) -> None:
        self.nothing = like.new_zeros(images).detach()
        """What a step returns that absorbs nothing: zeros (N,)."""
        self.pages: dict[str, Tensor] = {}
        self.kept = True
        """False once a step could not tell which image its relevance belongs to."""

    def page(self, layer: str) -> Tensor:
        """Return the page of a layer, of shape (N,), a leaf."""
        if layer not in self.pages:
            self.pages[layer] = self.nothing.clone().requires_grad_()
        return self.pages[layer]

    def per_image(self, s: Tensor, took: Tensor, images: Axis | None) -> Tensor:
        """Sum s * took, what was taken, for each image: (N,); `took` broadcasts to s."""
        if images is None or images.size != len(self.nothing):
            self.kept = False
            return self.nothing
        if images != Axis.at(s.shape, 0):
            return images.sums(s * took)
        # Where all of a dimension has one `took`, as a channel has one bias, s is summed first.
        took = took.reshape((1,) * (s.ndim - took.ndim) + took.shape)
        alike = [dim for dim in range(1, s.ndim) if took.shape[dim] == 1]
        taken = (s.sum(alike, keepdim=True) if alike else s) * took
        return taken.sum(list(range(1, s.ndim))) if s.ndim > 1 else taken

    def meter(self, tensor: Tensor, layer: str, images: Axis | None, sign: float = 1.0) -> Tensor:
        """Return the tensor; the relevance that reaches it is entered, `sign` times, on the page.

        A constant that is added to a signal is metered so: its relevance goes no further.
        """
        metered = _Metered.apply(tensor, self.page(layer), self, images, sign)
        assert isinstance(metered, Tensor)
        return metered


class _Metered(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tensor: Tensor, page: Tensor, books: Books, images: Axis | None, sign: float
    ) -> Tensor:
        ctx.value, ctx.books, ctx.images, ctx.sign = tensor.detach(), books, images, sign
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        passed = c if ctx.needs_input_grad[0] else None
        taken = ctx.books.per_image(c, ctx.value, ctx.images)
        return passed, ctx.sign * taken, None, None, None


def scaled_gradient(tensor: Tensor, share: float) -> Tensor:
    """Return the tensor; only `share` of what reaches it in the backward pass goes on."""
    scaled = _Scaled.apply(tensor, share)
    assert isinstance(scaled, Tensor)
    return scaled


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, share: float) -> Tensor:
        ctx.share = share
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        return c * ctx.share, None
