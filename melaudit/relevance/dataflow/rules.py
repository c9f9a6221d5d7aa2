r"""The rules of layer-wise relevance propagation, each as data for one and the same formula.

Relevance is propagated per unit of activation, c = R / a. A linear layer y = W x + b propagates

    c_x = sum_t sum_b  factor_b * W_b^T (c_y * ratio_t),          ratio_t = k_t y / (z_t + delta)

over the terms t of its rule (each a denominator z_t and a coefficient k_t) and their branches b
(each a changed weight and an elementwise factor). The share of s = c_y * ratio_t that does not go
to the inputs goes to the bias and the stabiliser delta. They absorb sum(s * absorption_t), so that
R_x + absorbed = R_y holds for every rule.

    rule         z                              branches                            source
    epsilon      W x + b                        W                                   [1]
    z-plus       W+ x+ + W- x- + b+             W+ where x > 0, W- where x < 0      [1, 2]
    gamma        (W + g W+) x + b + g b+        W + g W+                            [3]
    signed gamma (1 + g/2) y + g/2 u            (1 + g/2) W; g/2 |W| sign x         [5]
    alpha-beta   z-plus, and its negative twin  W+, W- and the other way round      [1]
    flat         1                              1 / x                               [4]
    w-square     W^2                            W^2 / x                             [2]
    z-box        W x - W+ l - W- h              W, -W+ l / x, -W- h / x             [2]

x+ is max(x, 0) and x- is min(x, 0); l and h bound the pixels. With x >= 0, as after a ReLU, z-plus
is W+ x + b+, and W- is not used. u is sign(y) (|W| |x| + |b|); see `SignedGamma`.

[1] Bach et al., On pixel-wise explanations ..., PLoS ONE 10(7), 2015.
[2] Montavon et al., Explaining nonlinear classification decisions with deep Taylor decomposition,
    Pattern Recognition 65, 2017.
[3] Montavon et al., Layer-wise relevance propagation: an overview, LNCS 11700, 2019.
[4] Lapuschkin et al., Unmasking Clever Hans predictors ..., Nature Communications 10, 2019.
[5] Andeol et al., Learning domain invariant representations by joint Wasserstein distance
    minimization, Neural Networks 167, 2023: the generalised gamma rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from melaudit.relevance.dataflow.linear_maps import Kernel, LinearMap

STABILISER = 1e-6
"""Keeps denominators from zero, with the denominator's own sign; zennit's value."""


@dataclass(frozen=True)
class Application:
    """One use of a linear layer: y = W x + b, after any folded BatchNorm."""

    linear: LinearMap
    kernel: Kernel
    x: Tensor
    y: Tensor
    divisor: Tensor | None
    """For rules that give R and not c: x with a tiny number in place of its zeros, so that R / x
    can be propagated and multiplied by x again at the input. None where x is not the input."""
    support: Tensor | None
    """1 where x is input and 0 on its padding; None where there is no padding."""
    nonnegative: bool
    """Whether x is known to have no value below zero. Otherwise its values are looked at, for which
    Python waits for a GPU at every layer."""

    def z(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the layer's output with another input, weight and bias."""
        return self.linear.apply(x, weight, bias)

    def per_channel(self, values: Tensor) -> Tensor:
        """Reshape values (channels,) so that they broadcast along the output's channels."""
        if values.ndim == 0 or self.linear.channel_dim == -1:
            return values
        return values.reshape(-1, *[1] * (self.y.ndim - 1 - self.linear.channel_dim))


@dataclass(frozen=True)
class Branch:
    """One way of relevance to the input: factor * W^T s, or W^T s without a factor."""

    weight: Tensor
    factor: Tensor | None = None


@dataclass(frozen=True)
class Term:
    """A denominator, as the ratio y / (z + delta), and the branches it divides."""

    ratio: Tensor | None
    """None stands for one."""
    absorption: Tensor
    """What bias and stabiliser absorb of each unit of s; broadcasts to the output."""
    branches: tuple[Branch, ...]
    first_where: Tensor | None = None
    """Where true, the first of two branches counts, and elsewhere the second; None adds all."""
    same_weights: bool = False
    """Whether all output channels have the same weights; the branches hold those of one channel."""


@dataclass(frozen=True)
class Split:
    """How a layer's relevance is split among its inputs."""

    terms: tuple[Term, ...]
    gross_input: Tensor | None = None
    """The input x where `absorption` is all of z, from which what was passed on, sum(c_x * x), is
    still to be subtracted; None where `absorption` is net of it."""


class Rule(Protocol):
    """How one linear layer passes relevance on to its inputs."""

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
            return Split((Term(None, bias, (branch,)),))
        delta = stabiliser(layer.y, self.epsilon)
        return Split((Term(layer.y / (layer.y + delta), bias + delta, (branch,)),))


@dataclass(frozen=True)
class ZPlus:
    """The z-plus rule, alpha-beta with alpha = 1 and beta = 0; inputs may be negative."""

    biased: bool = True

    def split(self, layer: Application) -> Split:
        """Divide by the sum of all positive contributions."""
        return Split((_excitation(layer, 1.0, self.biased),))


@dataclass(frozen=True)
class AlphaBeta:
    """The alpha-beta rule: positive contributions alpha times, negative ones -beta times.

    alpha - beta = 1.
    """

    alpha: float = 2.0
    beta: float = 1.0
    biased: bool = True

    def split(self, layer: Application) -> Split:
        """Divide positive contributions by their sum, and negative ones by theirs."""
        excitation = _excitation(layer, self.alpha, self.biased)
        if self.beta == 0:
            return Split((excitation,))
        return Split((excitation, _inhibition(layer, self.beta, self.biased)))


@dataclass(frozen=True)
class Gamma:
    """LRP-gamma: positive weights count 1 + gamma times."""

    gamma: float = 0.25

    def split(self, layer: Application) -> Split:
        """Divide by the output of the layer with the changed weights."""
        kernel = layer.kernel
        weight = kernel.make(f"gamma {self.gamma}", self._favour)
        bias = None if kernel.bias is None else self._favour(kernel.bias)
        z = layer.z(layer.x, weight, bias)
        delta = stabiliser(z)
        absorption = delta if bias is None else layer.per_channel(bias) + delta
        return Split((Term(layer.y / (z + delta), absorption, (Branch(weight),)),))

    def _favour(self, values: Tensor) -> Tensor:
        return values + self.gamma * values.clamp(min=0)


@dataclass(frozen=True)
class SignedGamma:
    """LRP-gamma for inputs of both signs: what has the output's sign counts 1 + gamma times.

    With p the sum of all positive contributions w_ij x_i, b+ among them, and n that of all negative
    ones, z = y + gamma p where y > 0, and y + gamma n where y < 0. Since p + n = y and p - n =
    |W| |x| + |b|, one more product gives both: z = (1 + gamma / 2) y + gamma / 2 sign(y) (|W| |x| +
    |b|). It has the sign of y and is never smaller, so nothing cancels in it.
    """

    gamma: float = 0.25

    def split(self, layer: Application) -> Split:
        """Divide by the output in which one sign is favoured."""
        x, y, kernel, half = layer.x, layer.y, layer.kernel, self.gamma / 2
        size = kernel.make("size", torch.abs)
        size_of_bias = None if kernel.bias is None else kernel.bias.abs()
        favoured = half * layer.z(x.abs(), size, size_of_bias)
        sign = torch.where(y < 0, y.new_full((), -1.0), y.new_full((), 1.0))
        delta = STABILISER * sign
        ratio = y / ((1 + half) * y + favoured * sign + delta)
        by_size, bias = half * layer.per_channel(kernel.bias_or_zero().abs()), kernel.bias_or_zero()
        weight = kernel.make(f"signed gamma {self.gamma}", lambda w: w * (1 + half))
        of_size = kernel.make(f"size by gamma {self.gamma}", lambda w: w.abs() * half)
        return Split(
            (
                Term(ratio, (1 + half) * layer.per_channel(bias) + delta, (Branch(weight),)),
                Term(ratio * sign, by_size, (Branch(of_size, x.sign()),)),
            )
        )


@dataclass(frozen=True)
class WSquare:
    """The w-square rule, for unbounded inputs: shares follow squared weights, not values."""

    def split(self, layer: Application) -> Split:
        """Divide by the sum of squared weights."""
        bias = layer.kernel.bias
        square = layer.kernel.make("square", torch.square)
        return _valueless(layer, square, None if bias is None else bias.square())


@dataclass(frozen=True)
class Flat:
    """The flat rule: all inputs of a neuron get equal shares."""

    def split(self, layer: Application) -> Split:
        """Divide by the number of inputs."""
        ones = layer.kernel.make("ones", lambda w: torch.ones_like(layer.linear.one_output(w)))
        return _valueless(layer, ones, None, same_weights=ones.shape != layer.kernel.shape)


@dataclass(frozen=True)
class ZBox:
    """The z-box rule, for pixels known to lie between `low` and `high`."""

    low: Callable[[Tensor], Tensor] = field(repr=False)
    """From an input, the lowest values possible there, of the same shape."""
    high: Callable[[Tensor], Tensor] = field(repr=False)

    def split(self, layer: Application) -> Split:
        """Divide by the distance from the pixels that speak most against; the bias cancels out."""
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
        inverse, gross_input = _inverse(layer)
        branches = (
            Branch(kernel.weight, x * inverse),
            Branch(kernel.positive, -low * inverse),
            Branch(kernel.negative, -high * inverse),
        )
        absorption = delta if gross_input is None else z + delta
        return Split((Term(layer.y / (z + delta), absorption, branches),), gross_input)


def stabiliser(z: Tensor, epsilon: float = STABILISER) -> Tensor:
    """Return epsilon with the sign of z, +epsilon where z = 0."""
    return torch.where(z < 0, z.new_full((), -epsilon), z.new_full((), epsilon))


def _excitation(layer: Application, coefficient: float, biased: bool) -> Term:
    """Return the term of all positive contributions: W+ x+, W- x- and b+."""
    kernel = layer.kernel
    # z >= 0, so the stabiliser is the same everywhere and may be added to the bias.
    absorption = kernel.bias_or_zero().clamp(min=0) * biased + STABILISER
    return _one_sided(layer, kernel.positive, lambda: kernel.negative, absorption, coefficient)


def _inhibition(layer: Application, coefficient: float, biased: bool) -> Term:
    """Return the term of all negative contributions, W- x+, W+ x- and b-, times -coefficient."""
    kernel = layer.kernel
    absorption = kernel.bias_or_zero().clamp(max=0) * biased - STABILISER
    return _one_sided(layer, kernel.negative, lambda: kernel.positive, absorption, -coefficient)


def _one_sided(
    layer: Application,
    upper: Tensor,
    lower: Callable[[], Tensor],
    absorption: Tensor,
    coefficient: float,
) -> Term:
    """Return the term of one sign: the weight `upper` acts on x+, and `lower` on x-.

    `absorption` is the bias plus the stabiliser, which z contains as well. `lower` is computed only
    where an input is negative: behind a ReLU none is.
    """
    x = layer.x
    bias = absorption.expand(layer.y.shape[layer.linear.channel_dim]).contiguous()
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
    return Term(ratio, layer.per_channel(absorption), branches, positive)


def _valueless(
    layer: Application, weight: Tensor, bias: Tensor | None, same_weights: bool = False
) -> Split:
    """Return the split of a rule that looks at weights alone, as if every input were one."""
    ones = torch.ones_like(layer.x[:1]) if layer.support is None else layer.support
    z = layer.z(ones.expand(1, *layer.x.shape[1:]), weight, bias)
    delta = stabiliser(z)
    inverse, gross_input = _inverse(layer)
    factor = inverse if layer.support is None else inverse * layer.support
    if gross_input is not None:
        absorption = z + delta
    else:
        absorption = delta if bias is None else layer.per_channel(bias) + delta
    branch = Branch(weight, factor)
    term = Term(layer.y / (z + delta), absorption, (branch,), same_weights=same_weights)
    return Split((term,), gross_input)


def _inverse(layer: Application) -> tuple[Tensor, Tensor | None]:
    """Return 1 / x, which turns R into c, and x itself where its zeros lose relevance by that."""
    if layer.divisor is not None:
        return layer.divisor.reciprocal(), None
    tiny = torch.finfo(layer.x.dtype).tiny * 1e8
    inverse = layer.x.reciprocal().masked_fill(layer.x.abs() < tiny, 0)
    return inverse, layer.x
