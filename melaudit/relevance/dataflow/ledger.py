"""The relevance ledger: what each layer absorbs, for every image.

Every layer has an account: a leaf of autograd's graph with one zero per image. A step that absorbs
relevance returns the absorbed amount as the gradient of its layer's account. Autograd then adds it
up in the same backward pass as the relevance itself, wherever that pass starts. Nothing is computed
as the remainder, so "accounts plus map equal what was put in" is a real test of the engine.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from melaudit.relevance.dataflow.axes import Axis


class Ledger:
    """The accounts of one forward pass over `images` images; `like` gives dtype and device."""

    def __init__(self, images: int, like: Tensor) -> None:
        self.zeros = like.new_zeros(images).detach()
        """What a step returns that absorbs nothing: zeros (N,)."""
        self.accounts: dict[str, Tensor] = {}
        """Layer -> its account (N,), a leaf."""
        self.complete = True
        """False once a step could not tell which image its relevance belongs to."""

    def account(self, layer: str) -> Tensor:
        """Return the account (N,) of a layer, opened at the first call."""
        if layer not in self.accounts:
            self.accounts[layer] = self.zeros.clone().requires_grad_()
        return self.accounts[layer]

    def per_image(self, s: Tensor, absorption: Tensor, images: Axis | None) -> Tensor:
        """Return the sum of s * absorption for each image: (N,).

        `absorption` broadcasts to s, and `images` is the axis of s that counts images. Without such
        an axis the ledger becomes incomplete and zeros come back.
        """
        if images is None or images.size != len(self.zeros):
            self.complete = False
            return self.zeros
        if images != Axis.at(s.shape, 0):
            return images.sums(s * absorption)
        # Where a whole dimension shares one value, as a channel shares its bias, s is summed first.
        absorption = absorption.reshape((1,) * (s.ndim - absorption.ndim) + absorption.shape)
        shared = [dim for dim in range(1, s.ndim) if absorption.shape[dim] == 1]
        absorbed = (s.sum(shared, keepdim=True) if shared else s) * absorption
        return absorbed.sum(list(range(1, s.ndim))) if s.ndim > 1 else absorbed

    def record(
        self,
        tensor: Tensor,
        layer: str,
        images: Axis | None,
        sign: float = 1.0,
        value: Tensor | None = None,
    ) -> Tensor:
        """Return the tensor; relevance that reaches it is added, times `sign`, to the account.

        This is how a constant that is added to a signal is recorded: its relevance ends there.
        `value` stands in for the tensor's own values, where these are not all finite.
        """
        value = tensor.detach() if value is None else value
        recorded = _Recorded.apply(tensor, self.account(layer), self, images, sign, value)
        assert isinstance(recorded, Tensor)
        return recorded


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tensor: Tensor,
        account: Tensor,
        ledger: Ledger,
        images: Axis | None,
        sign: float,
        value: Tensor,
    ) -> Tensor:
        ctx.value, ctx.ledger, ctx.images, ctx.sign = value, ledger, images, sign
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        passed = c if ctx.needs_input_grad[0] else None
        absorbed = ctx.ledger.per_image(c, ctx.value, ctx.images)
        return passed, ctx.sign * absorbed, None, None, None, None


def scaled_gradient(tensor: Tensor, share: float) -> Tensor:
    """Return the tensor; in the backward pass only `share` of what reaches it goes on."""
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
