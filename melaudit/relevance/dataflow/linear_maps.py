"""Linear operations as maps x -> W x with an adjoint s -> W^T s, and their weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from melaudit.relevance.layout import fast


class LinearMap(Protocol):
    """A linear operation whose weights are given with each use."""

    @property
    def channel_dim(self) -> int:
        """The dimension of the output that counts channels, along which the bias is added."""
        ...

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return W x + b."""
        ...

    def adjoint(self, s: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return W^T s; `shape` is that of x."""
        ...

    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Return the weight that makes the output `scale` (channels,) times as large."""
        ...

    def one_output(self, weight: Tensor) -> Tensor:
        """Return the weight of the first output channel alone; of several groups, all of it."""
        ...


@dataclass(frozen=True)
class Dense:
    """F.linear: x (..., in), weight (out, in)."""

    channel_dim: int = -1

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x W^T + b: (..., out)."""
        return functional.linear(x, weight, bias)

    def adjoint(self, s: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return s W: (..., in)."""
        below: Tensor = s @ weight
        return below.reshape(shape)

    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Scale the rows."""
        return weight * scale[:, None]

    def one_output(self, weight: Tensor) -> Tensor:
        """Return the first row."""
        return weight[:1]


@dataclass(frozen=True)
class Convolution:
    """A convolution of 1 to 3 dimensions, grouped, dilated or transposed; x (N, in, ...)."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int
    channel_dim: int = 1

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve: (N, out, ...)."""
        return self._convolve(x, weight, bias, self.transposed, self.output_padding)

    def adjoint(self, s: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Convolve in the other direction; last rows that no stride reached get zero."""
        if self.transposed:
            return self._convolve(s, weight, None, False, self.output_padding)
        reach = [
            (out - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
            for out, stride, padding, dilation, kernel in zip(
                s.shape[2:], self.stride, self.padding, self.dilation, weight.shape[2:], strict=True
            )
        ]
        rest = tuple(n - r for n, r in zip(shape[2:], reach, strict=True))
        return self._convolve(s, weight, None, True, rest)

    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Scale the filters: (out, in / groups, ...), or transposed (in, out / groups, ...)."""
        if not self.transposed:
            return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        grouped = weight.reshape(self.groups, -1, *weight.shape[1:])
        per_group = scale.reshape(self.groups, 1, -1, *[1] * (weight.ndim - 2))
        scaled: Tensor = (grouped * per_group).flatten(0, 1)
        return scaled

    def one_output(self, weight: Tensor) -> Tensor:
        """Return the first filter."""
        if self.groups > 1:
            return weight
        return weight[:, :1] if self.transposed else weight[:1]

    def _convolve(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        transposed: bool,
        output_padding: tuple[int, ...],
    ) -> Tensor:
        return torch.convolution(
            x,
            weight,
            bias,
            self.stride,
            self.padding,
            self.dilation,
            transposed,
            output_padding,
            self.groups,
        )


class Kernel:
    """The weight and bias of a linear map, with a BatchNorm's scale and shift folded in.

    What rules compute from the weight (its positive part, its square) is computed once and kept.
    """

    def __init__(
        self,
        linear: LinearMap,
        weight: Tensor,
        bias: Tensor | None,
        scale: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> None:
        self.original = weight, bias
        """The weight and bias as the model has them."""
        self.folded = scale is not None
        self._linear, self._raw = linear, weight.detach()
        self._scale = None if scale is None else scale.detach()
        self._made: dict[str, Tensor] = {}
        bias = None if bias is None else bias.detach()
        if scale is not None and bias is not None:
            bias = bias * scale
        if shift is not None:
            bias = shift.detach() if bias is None else bias + shift.detach()
        self.bias = bias
        """(channels,), or None."""

    @property
    def shape(self) -> torch.Size:
        """The shape of the weight."""
        return self._raw.shape

    @cached_property
    def weight(self) -> Tensor:
        """The weight, scaled."""
        return self._weight()

    def make(self, name: str, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the changed weight, which is kept under the name."""
        if name not in self._made:
            self._made[name] = change(self._weight())
        return self._made[name]

    @property
    def positive(self) -> Tensor:
        """max(W, 0)."""
        return self.make("positive", lambda w: w.clamp(min=0))

    @property
    def negative(self) -> Tensor:
        """min(W, 0)."""
        return self.make("negative", lambda w: w.clamp(max=0))

    def bias_or_zero(self) -> Tensor:
        """Return the bias, zeros where there is none: (channels,) or ()."""
        return self._raw.new_zeros(()) if self.bias is None else self.bias

    def _weight(self) -> Tensor:
        weight = self._raw if self._scale is None else self._linear.scaled(self._raw, self._scale)
        return fast(weight)


class Kernels:
    """The kernels of a run, kept as long as the parameters they were made from do not change."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], tuple[tuple[Tensor | None, ...], State, Kernel]] = {}

    def kernel(
        self,
        linear: LinearMap,
        weight: Tensor,
        bias: Tensor | None,
        norm: tuple[Tensor | None, ...] = (),
        affine: Callable[[], tuple[Tensor, Tensor]] | None = None,
    ) -> Kernel:
        """Return the kernel of a weight and bias; `affine` computes what to fold in.

        `norm` are the tensors that `affine` uses. Only kernels of parameters are kept: other
        weights may be new tensors at every pass.
        """
        sources = (weight, bias, *norm)
        key = (linear, *map(id, sources))
        state = tuple(None if t is None else (t._version, t.data_ptr()) for t in sources)
        if key in self._kept and self._kept[key][1] == state:
            return self._kept[key][2]
        with torch.no_grad():
            scale, shift = affine() if affine else (None, None)
            kernel = Kernel(linear, weight, bias, scale, shift)
        if isinstance(weight, nn.Parameter):
            self._kept[key] = sources, state, kernel
        return kernel


State = tuple[tuple[int, int] | None, ...]
"""The versions and addresses of the tensors that a kernel was made from."""
