r"""The rules of layer-wise relevance propagation, each as data for one and the same formula.

Relevance is propagated per unit of activation, c = R / a. A linear layer y = W x + b whose rule is
given hands down

    c_x = sum_p sum_b  factor_b * W_b^T (c_y * ratio_p),          ratio_p = k_p y / (z_p + delta)

over the rule's parts p (a denominator z_p and a coefficient k_p each) and their branches b (a
changed weight and an elementwise factor each). What the relevance s = c_y * ratio_p does not find
in the inputs it finds in the bias and the stabiliser delta: sum(s * took_p) is what they absorb,
so that R_x + absorbed = R_y holds rule by rule.

    rule         z                              branches                            source
    epsilon      W x + b                        W                                   [1]
    z-plus       W+ x+ + W- x- + b+             W+ where x > 0, W- where x < 0      [1, 2]
    gamma        (W + g W+) x + b + g b+        W + g W+                            [3]
    alpha-beta   z-plus, and its negative twin  W+, W- and the other way round      [1]
    flat         1                              1 / x                               [4]
    w-square     W^2                            W^2 / x                             [2]
    z-box        W x - W+ l - W- h              W, -W+ l / x, -W- h / x             [2]

x+ is max(x, 0), x- is min(x, 0); l and h bound the pixels. With x >= 0, as after a ReLU, z-plus
is W+ x + b+ and nothing of W- is computed.

[1] Bach et al., On pixel-wise explanations ..., PLoS ONE 10(7), 2015.
[2] Montavon et al., Explaining nonlinear classification decisions with deep Taylor decomposition,
    Pattern Recognition 65, 2017.
[3] Montavon et al., Layer-wise relevance propagation: an overview, LNCS 11700, 2019.
[4] Lapuschkin et al., Unmasking Clever Hans predictors ..., Nature Communications 10, 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from melaudit.relevance.dataflow.linear_maps import Kernel, LinearMap

STABILISER = 1e-6
"""Keeps denominators from zero, with the denominator's own sign."""


@dataclass(frozen=True)
class Application:
    """One use of a linear layer: y = W x + b, after any folded BatchNorm."""

    linear: LinearMap
    kernel: Kernel
    x: Tensor
    y: Tensor
    divisor: Tensor | None
    """For rules that give R and not c: x, or a tiny number in place of its zeros, so that they
    are carried as R / x and multiplied back at the input; None where x is not the input itself."""
    support: Tensor | None
    """1 where x is input and 0 on its padding; None where there is no padding."""
    nonnegative: bool
    """Whether x is known to have nothing below zero. Where it is not, its values tell; looking at
    them makes Python wait for a GPU, layer by layer."""

    def z(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the layer's output with another input, weight and bias."""
        return self.linear.apply(x, weight, bias)

    def per_channel(self, values: Tensor) -> Tensor:
        """Shape (channels,) so that it broadcasts along the output's channels."""
        if values.ndim == 0 or self.linear.channel_dim == -1:
            return values
        return values.reshape(-1, *[1] * (self.y.ndim - 1 - self.linear.channel_dim))


@dataclass(frozen=True)
class Branch:
    """A way for relevance down to the input: factor * W^T s, or W^T s without a factor."""

    weight: Tensor
    factor: Tensor | None = None


@dataclass(frozen=True)
class Part:
    """A denominator, as the ratio y / (z + delta), and the branches it divides."""

    ratio: Tensor | None
    """None stands for one."""
    took: Tensor
    """What bias and stabiliser take of each unit of s; broadcasts to the output."""
    branches: tuple[Branch, ...]
    split_at: Tensor | None = None
    """Where it is true the first of two branches goes down, elsewhere the second; None adds."""
    alike: bool = False
    """Whether all output channels have the same weights, and the branches those of one alone."""


@dataclass(frozen=True)
class Split:
    """How a layer's relevance is split among its inputs."""

    parts: tuple[Part, ...]
    given: Tensor | None = None
    """The input x where `took` is all of z, so that what was given, sum(c_x * x), is still to be
    taken off; None where `took` is already net."""


class Rule(Protocol):
    """How one linear layer hands relevance to its inputs."""

    def split(self, layer: Application) -> Split:
        """Return the split for one use of the layer."""
        ...


@dataclass(frozen=True)
class Epsilon:
    """LRP-epsilon; with epsilon = 0, LRP-0, which is the gradient."""

    epsilon: float = STABILISER

    def split(self, layer: Application) -> Split:
        """Divide by the output itself."""
        branch = Branch(layer.kernel.weight)
        bias = layer.per_channel(layer.kernel.bias_or_zero())
        if self.epsilon == 0:
            return Split((Part(None, bias, (branch,)),))
        delta = stabiliser(layer.y, self.epsilon)
        return Split((Part(layer.y / (layer.y + delta), bias + delta, (branch,)),))


@dataclass(frozen=True)
class ZPlus:
    """The z-plus rule, alpha-beta with alpha = 1 and beta = 0; inputs may be negative."""

    biased: bool = True

    def split(self, layer: Application) -> Split:
        """Divide by what excites the output."""
        return Split((_excitation(layer, 1.0, self.biased),))


@dataclass(frozen=True)
class AlphaBeta:
    """The alpha-beta rule: excitation alpha times, inhibition -beta times; alpha - beta = 1."""

    alpha: float = 2.0
    beta: float = 1.0
    biased: bool = True

    def split(self, layer: Application) -> Split:
        """Divide excitation by excitation and inhibition by inhibition."""
        excitation = _excitation(layer, self.alpha, self.biased)
        if self.beta == 0:
            return Split((excitation,))
        return Split((excitation, _inhibition(layer, self.beta, self.biased)))


@dataclass(frozen=True)
class Gamma:
    """LRP-gamma: positive weights count 1 + gamma times."""

    gamma: float = 0.25

    def split(self, layer: Application) -> Split:
        """Divide by the output of the layer so changed."""
        kernel = layer.kernel
        weight = kernel.make(f"gamma {self.gamma}", self._favour)
        bias = None if kernel.bias is None else self._favour(kernel.bias)
        z = layer.z(layer.x, weight, bias)
        delta = stabiliser(z)
        took = delta if bias is None else layer.per_channel(bias) + delta
        return Split((Part(layer.y / (z + delta), took, (Branch(weight),)),))

    def _favour(self, values: Tensor) -> Tensor:
        return values + self.gamma * values.clamp(min=0)


@dataclass(frozen=True)
class WSquare:
    """The w-square rule, for unbounded inputs: relevance goes as squared weights, not as values."""

    def split(self, layer: Application) -> Split:
        """Divide by the sum of squared weights."""
        bias = layer.kernel.bias
        square = layer.kernel.make("square", torch.square)
        return _valueless(layer, square, None if bias is None else bias.square())


@dataclass(frozen=True)
class Flat:
    """The flat rule: relevance goes in equal parts to all inputs a neuron sees."""

    def split(self, layer: Application) -> Split:
        """Divide by the number of inputs seen."""
        ones = layer.kernel.make("ones", lambda w: torch.ones_like(layer.linear.one_output(w)))
        return _valueless(layer, ones, None, alike=ones.shape != layer.kernel.shape)


@dataclass(frozen=True)
class ZBox:
    """The z-box rule, for pixels known to lie between `low` and `high`."""

    low: Callable[[Tensor], Tensor]
    """From an input, the lowest values possible there, of the same shape."""
    high: Callable[[Tensor], Tensor]

    def split(self, layer: Application) -> Split:
        """Divide by the distance from the most contrary pixels; the bias cancels out of it."""
        x, kernel, inside = layer.x, layer.kernel, layer.support
        low, high = self.low(x), self.high(x)
        if inside is not None:
            low, high = low * inside, high * inside
        z = (
            layer.z(x, kernel.weight)
            - layer.z(low, kernel.positive)
            - layer.z(high, kernel.negative)
        )
        delta = stabiliser(z)
        inverse, given = _inverse(layer)
        branches = (
            Branch(kernel.weight, x * inverse),
            Branch(kernel.positive, -low * inverse),
            Branch(kernel.negative, -high * inverse),
        )
        took = delta if given is None else z + delta
        return Split((Part(layer.y / (z + delta), took, branches),), given)


def stabiliser(z: Tensor, epsilon: float = STABILISER) -> Tensor:
    """Return epsilon with the sign of z, +epsilon where z = 0."""
    return torch.where(z < 0, z.new_full((), -epsilon), z.new_full((), epsilon))


def _excitation(layer: Application, coefficient: float, biased: bool) -> Part:
    """Return the part of all that is positive: W+ x+, W- x- and b+."""
    kernel = layer.kernel
    # z >= 0, so the stabiliser is the same everywhere and may be added with the bias.
    took = kernel.bias_or_zero().clamp(min=0) * biased + STABILISER
    return _one_sided(layer, kernel.positive, lambda: kernel.negative, took, coefficient)


def _inhibition(layer: Application, coefficient: float, biased: bool) -> Part:
    """Return the part of all that is negative: W- x+, W+ x- and b-; it takes -coefficient R."""
    kernel = layer.kernel
    took = kernel.bias_or_zero().clamp(max=0) * biased - STABILISER
    return _one_sided(layer, kernel.negative, lambda: kernel.positive, took, -coefficient)


def _one_sided(
    layer: Application,
    upper: Tensor,
    lower: Callable[[], Tensor],
    took: Tensor,
    coefficient: float,
) -> Part:
    """Return the part of one sign, `upper` acting on x+ and `lower` on x-.

    `took` is the bias with the stabiliser in it, and so is its sum with the rest. `lower` is made
    only where an input is negative: behind a ReLU none is.
    """
    x = layer.x
    bias = took.expand(layer.y.shape[layer.linear.channel_dim]).contiguous()
    if layer.nonnegative or bool(x.amin() >= 0):
        z = layer.z(x, upper, bias)
        branches: tuple[Branch, ...] = (Branch(upper),)
        positive = None
    else:
        z = layer.z(x.clamp(min=0), upper, bias) + layer.z(x.clamp(max=0), lower())
        branches = (Branch(upper), Branch(lower()))
        positive = x > 0
    ratio = torch.div(layer.y, z, out=z)
    if coefficient != 1:
        ratio *= coefficient
    return Part(ratio, layer.per_channel(took), branches, positive)


def _valueless(
    layer: Application, weight: Tensor, bias: Tensor | None, alike: bool = False
) -> Split:
    """Return the split of a rule that looks at weights alone, as if every input were one."""
    ones = torch.ones_like(layer.x[:1]) if layer.support is None else layer.support
    z = layer.z(ones.expand(1, *layer.x.shape[1:]), weight, bias)
    delta = stabiliser(z)
    inverse, given = _inverse(layer)
    factor = inverse if layer.support is None else inverse * layer.support
    if given is not None:
        took = z + delta
    else:
        took = delta if bias is None else layer.per_channel(bias) + delta
    return Split(
        (Part(layer.y / (z + delta), took, (Branch(weight, factor),), alike=alike),), given
    )


def _inverse(layer: Application) -> tuple[Tensor, Tensor | None]:
    """Return what turns R into c = R / x, and x itself if its zeros lose their relevance by it."""
    if layer.divisor is not None:
        return layer.divisor.reciprocal(), None
    tiny = torch.finfo(layer.x.dtype).tiny * 1e8
    inverse = layer.x.reciprocal().masked_fill(layer.x.abs() < tiny, 0)
    return inverse, layer.x
