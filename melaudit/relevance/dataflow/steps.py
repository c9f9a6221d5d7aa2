"""Steps of a forward pass whose relevance follows a rule instead of the gradient.

A step keeps its input and output until it is prepared. After that it keeps only what its backward
pass needs: ratios, in memory of their own. Steps are prepared as late as possible, so that nothing
is computed where no relevance arrives: for a convolution whose BatchNorm is folded in, or inside a
gate. But a step is prepared before its input or output is overwritten in place; `Flow` sees to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from melaudit.relevance.dataflow.axes import Axis
from melaudit.relevance.dataflow.ledger import Ledger
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
    """An operation y = f(x) on one signal; its backward pass turns c_y into c_x."""

    def __init__(self, x: Tensor, y: Tensor, ledger: Ledger, images: Axis | None) -> None:
        self.x, self.y, self.ledger, self.images = x.detach(), y.detach(), ledger, images
        self.shape = x.shape

    def prepare(self) -> None:
        """Compute what the backward pass needs, and release x and y."""
        raise NotImplementedError

    def propagate(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return c_x, and the relevance absorbed for each image (N,)."""
        raise NotImplementedError

    def connect(self, x: Tensor, y: Tensor, account: Tensor) -> Tensor:
        """Return y as the output of this step in autograd's graph."""
        # Torch refuses in-place operations on a view that a Function made, so views are copied.
        made = [y.clone() if y._is_view() else y]
        connected = _Ruled.apply(x, account, self, made)
        assert isinstance(connected, Tensor)
        return connected

    def overwrite(self, x: Tensor, write: Callable[[], Any], account: Tensor) -> Tensor:
        """Return x, into which `write` writes the output, as the output of this prepared step."""
        connected = _Overwriting.apply(x, account, self, write)
        assert isinstance(connected, Tensor)
        return connected


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, account: Tensor, step: Step, made: list[Tensor]) -> Tensor:
        ctx.step = step
        return made.pop()

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        c_x, absorbed = ctx.step.propagate(c)
        return c_x, absorbed, None, None


class _Overwriting(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, account: Tensor, step: Step, write: Callable[[], Any]
    ) -> Tensor:
        ctx.step = step
        write()
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        c_x, absorbed = ctx.step.propagate(c)
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
        ledger: Ledger,
        images: Axis | None,
    ) -> None:
        super().__init__(signal, y, ledger, images)
        self.linear, self.kernel, self.rule, self.mark = linear, kernel, rule, mark
        self.signal = signal
        """The input as it stands in the graph, for a BatchNorm that is folded in."""
        self.version = signal._version, y._version
        self.nonnegative = is_nonnegative(signal)
        self._split: Split | None = None

    def prepare(self) -> None:
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
        """Whether nothing was written into input and output since the layer ran."""
        return self._split is None and self.version == (self.signal._version, self.y._version)

    def propagate(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the formula of `rules`."""
        self.prepare()
        assert self._split is not None
        below: Tensor | None = None
        absorbed: Tensor | None = None
        for term in self._split.terms:
            s = c if term.ratio is None else c * term.ratio
            here = self.ledger.per_image(s, term.absorption, self.images)
            absorbed = here if absorbed is None else absorbed + here
            if term.same_weights:
                s = s.sum(self.linear.channel_dim, keepdim=True)
            branches = [self._along(branch, s) for branch in term.branches]
            if term.first_where is not None:
                branches = [torch.where(term.first_where, branches[0], branches[1])]
            for branch in branches:
                below = branch if below is None else below + branch
        assert below is not None and absorbed is not None
        if self._split.gross_input is not None:
            passed = self.ledger.per_image(below, self._split.gross_input, self.mark.images)
            absorbed = absorbed - passed
        return below, absorbed

    def _along(self, branch: Branch, s: Tensor) -> Tensor:
        c = self.linear.adjoint(s, branch.weight, self.shape)
        return c if branch.factor is None else c * branch.factor


class ElementwiseStep(Step):
    """A function of single values: all relevance of the output is the input's, R_x = R_y.

    With c = R / a that means c_x = c_y * y / x. Where x = 0 gives y != 0, as in a sigmoid, there is
    no input to carry the relevance: the stabiliser absorbs it.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor | None,
        ledger: Ledger,
        mark: Mark,
        factor: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(x, x if y is None else y, ledger, mark.images)
        assert y is not None or factor is not None
        self.factor = factor
        """Where the function is x times a factor of x, that factor: x * sigmoid(x) has one."""
        self.pixels = mark.pixels
        self._ratio: Tensor | None = None
        self._absorption: Tensor | None = None

    def prepare(self) -> None:
        """Keep y / x and what the stabiliser absorbs."""
        if self._ratio is not None:
            return
        with torch.no_grad():
            if self.pixels:
                self._ratio = nonzero(self.y) / nonzero(self.x)
            elif self.factor is not None:
                self._ratio = self.factor(self.x)
            else:
                self._ratio = self.y / (self.x + stabiliser(self.x, STABILISER))
                self._absorption = self.y - self.x * self._ratio
        del self.x, self.y

    def propagate(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Scale c by y / x."""
        self.prepare()
        assert self._ratio is not None
        if self._absorption is None:
            return c * self._ratio, self.ledger.zeros
        return c * self._ratio, self.ledger.per_image(c, self._absorption, self.images)


def nonzero(x: Tensor) -> Tensor:
    """Return x with a tiny number in place of zeros, for R / x that is multiplied back later."""
    tiny = max(1e-20, torch.finfo(x.dtype).tiny)
    return torch.where(x.abs() < tiny, x.new_full((), tiny), x)
