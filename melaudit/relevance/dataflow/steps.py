"""Steps of a forward pass whose relevance follows a rule instead of the gradient.

A step knows its input and output and, once settled, only what its backward pass needs: ratios, in
memory of their own. It settles as late as it can, so that nothing is computed for what no
relevance reaches: a convolution whose BatchNorm is folded in, the inside of a gate. But it settles
before its input or output is overwritten in place; `Flow` sees to that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from melaudit.relevance.dataflow.axes import Axis
from melaudit.relevance.dataflow.books import Books
from melaudit.relevance.dataflow.linear_maps import Kernel, LinearMap
from melaudit.relevance.dataflow.marks import Mark, is_nonnegative
from melaudit.relevance.dataflow.rules import (
    STABILISER,
    Application,
    Branch,
    Rule,
    Split,
    stabiliser,
)


class Step:
    """An operation y = f(x) on one signal, with c_y in and c_x out of the backward pass."""

    def __init__(self, x: Tensor, y: Tensor, books: Books, images: Axis | None) -> None:
        self.x, self.y, self.books, self.images = x.detach(), y.detach(), books, images
        self.shape = x.shape

    def settle(self) -> None:
        """Compute what the backward pass needs, and let go of x and y."""
        raise NotImplementedError

    def hand_down(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return c_x and what was absorbed, per image (N,)."""
        raise NotImplementedError

    def connect(self, x: Tensor, y: Tensor, page: Tensor) -> Tensor:
        """Return y as the output of this step in autograd's graph."""
        # In-place operations on a view made by a Function are refused, hence no views.
        made = [y.clone() if y._is_view() else y]
        connected = _Ruled.apply(x, page, self, made)
        assert isinstance(connected, Tensor)
        return connected

    def overwrite(self, x: Tensor, write: Callable[[], Any], page: Tensor) -> Tensor:
        """Return x, which `write` writes the output into, as the output of this settled step."""
        connected = _Overwriting.apply(x, page, self, write)
        assert isinstance(connected, Tensor)
        return connected


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, page: Tensor, step: Step, made: list[Tensor]) -> Tensor:
        ctx.step = step
        return made.pop()

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        c_x, absorbed = ctx.step.hand_down(c)
        return c_x, absorbed, None, None


class _Overwriting(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, page: Tensor, step: Step, write: Callable[[], Any]) -> Tensor:
        ctx.step = step
        write()
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        c_x, absorbed = ctx.step.hand_down(c)
        return c_x, absorbed, None, None


class LinearStep(Step):
    """A linear layer under its rule, with what has been folded into it."""

    def __init__(
        self,
        linear: LinearMap,
        kernel: Kernel,
        rule: Rule,
        signal: Tensor,
        mark: Mark,
        y: Tensor,
        books: Books,
        images: Axis | None,
    ) -> None:
        super().__init__(signal, y, books, images)
        self.linear, self.kernel, self.rule, self.mark = linear, kernel, rule, mark
        self.signal = signal
        """The input as it stands in the graph, for a BatchNorm that is folded in."""
        self.version = signal._version, y._version
        self.nonnegative = is_nonnegative(signal)
        self._split: Split | None = None

    def settle(self) -> None:
        """Split the relevance by the rule."""
        if self._split is not None:
            return
        with torch.no_grad():
            divisor = nonzero(self.x) if self.mark.pixels else None
            layer = Application(
                self.linear,
                self.kernel,
                self.x,
                self.y,
                divisor,
                self.mark.support,
                self.nonnegative,
            )
            self._split = self.rule.split(layer)
        del self.x, self.y, self.signal

    def intact(self) -> bool:
        """Whether input and output are still as the layer saw and left them."""
        return self._split is None and self.version == (self.signal._version, self.y._version)

    def hand_down(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the formula of `rules`."""
        self.settle()
        assert self._split is not None
        below: Tensor | None = None
        absorbed: Tensor | None = None
        for part in self._split.parts:
            s = c if part.ratio is None else c * part.ratio
            taken = self.books.per_image(s, part.took, self.images)
            absorbed = taken if absorbed is None else absorbed + taken
            if part.alike:
                s = s.sum(self.linear.channel_dim, keepdim=True)
            branches = [self._down(branch, s) for branch in part.branches]
            if part.split_at is not None:
                branches = [torch.where(part.split_at, branches[0], branches[1])]
            for down in branches:
                below = down if below is None else below + down
        assert below is not None and absorbed is not None
        if self._split.given is not None:
            absorbed = absorbed - self.books.per_image(below, self._split.given, self.mark.images)
        return below, absorbed

    def _down(self, branch: Branch, s: Tensor) -> Tensor:
        down = self.linear.adjoint(s, branch.weight, self.shape)
        return down if branch.factor is None else down * branch.factor


class ElementwiseStep(Step):
    """A function of single values: all relevance of the output is the input's, R_x = R_y.

    With c = R / a that is c_x = c_y * y / x. Where x = 0 carries y != 0, as in a sigmoid, the
    relevance has nothing to sit on: the stabiliser absorbs it.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor | None,
        books: Books,
        mark: Mark,
        factor: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(x, x if y is None else y, books, mark.images)
        assert y is not None or factor is not None
        self.factor = factor
        """The function as x times a factor of x, where it is one: x * sigmoid(x) is."""
        self.pixels = mark.pixels
        self._ratio: Tensor | None = None
        self._took: Tensor | None = None

    def settle(self) -> None:
        """Keep y / x and what the stabiliser takes."""
        if self._ratio is not None:
            return
        with torch.no_grad():
            if self.pixels:
                self._ratio = nonzero(self.y) / nonzero(self.x)
            elif self.factor is not None:
                self._ratio = self.factor(self.x)
            else:
                self._ratio = self.y / (self.x + stabiliser(self.x, STABILISER))
                self._took = self.y - self.x * self._ratio
        del self.x, self.y

    def hand_down(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Scale c by y / x."""
        self.settle()
        assert self._ratio is not None
        if self._took is None:
            return c * self._ratio, self.books.nothing
        return c * self._ratio, self.books.per_image(c, self._took, self.images)


def nonzero(x: Tensor) -> Tensor:
    """Return x with a tiny number in place of zeros, for R / x that is multiplied back later."""
    tiny = max(1e-20, torch.finfo(x.dtype).tiny)
    return torch.where(x.abs() < tiny, x.new_full((), tiny), x)
