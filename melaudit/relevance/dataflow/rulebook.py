"""Which rule holds for which layer, read from a zennit composite.

A composite maps each module to a hook. Only the type and the parameters of the hook are read; its
code does not run. Parameters that zennit keeps in closures are found by calling the hook's own
functions at points where the result is the parameter. Canonizers are not needed and not applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from zennit import rules as zennit_rules
from zennit.core import BasicHook, Composite, Hook
from zennit.types import Linear as LinearLayer

from melaudit.errors import RelevanceError
from melaudit.relevance.dataflow.rules import (
    AlphaBeta,
    Epsilon,
    Flat,
    Gamma,
    Rule,
    SignedGamma,
    WSquare,
    ZBox,
    ZPlus,
    stabiliser,
)

LRP0 = Epsilon(0.0)
"""The rule where a composite names none: the gradient, which in ReLU networks is LRP-0."""

NO_PROPAGATION = (zennit_rules.ReLUDeconvNet, zennit_rules.ReLUGuidedBackprop)
"""Hooks that change gradients and propagate no relevance."""


class AttentionRule(StrEnum):
    """How relevance passes softmax(Q K^T) V."""

    CONSTANT = "constant"
    """The weights are gates: all of it to the values (Ali et al., ICML 2022)."""
    ATTNLRP = "attnlrp"
    """Half to the values and half to the weights, on through the softmax by its gradient times its
    input, whose remainder is recorded, and half each to queries and keys (Achtibat et al., AttnLRP,
    ICML 2024)."""

    @property
    def words(self) -> str:
        """Return what becomes of relevance there, for a reader."""
        if self is AttentionRule.CONSTANT:
            return "attention weights held constant"
        return "half to the values, half to queries and keys"


class SignedGammaHook(BasicHook):  # type: ignore[misc]  # zennit is untyped
    """LRP-gamma for inputs of both signs, for zennit, which has no such rule.

    What has the output's sign counts 1 + gamma times (Andeol et al., Neural Networks 167, 2023).
    """

    def __init__(self, gamma: float = 0.25) -> None:
        self.gamma = gamma

        def favour(low: float | None, high: float | None, biased: bool = True) -> Modifier:
            def modified(values: Tensor, name: str) -> Tensor:
                favoured: Tensor = values + gamma * values.clamp(low, high)
                return favoured if biased or name != "bias" else torch.zeros_like(values)

            return modified

        super().__init__(
            input_modifiers=[_positive, _negative, _positive, _negative, _same],
            param_modifiers=[
                favour(0, None),
                favour(None, 0, biased=False),
                favour(None, 0),
                favour(0, None, biased=False),
                lambda values, _: values,
            ],
            output_modifiers=[_same] * 5,
            gradient_mapper=_by_sign,
            reducer=lambda inputs, gradients: sum(
                x * gradient for x, gradient in zip(inputs[:4], gradients[:4], strict=True)
            ),
        )

    def copy(self) -> SignedGammaHook:
        """Return a hook like this one, as zennit puts one on each module."""
        return type(self)(self.gamma)


Modifier = Callable[[Tensor, str], Tensor]
"""From a parameter and its name to another parameter."""


def _same(values: Tensor) -> Tensor:
    return values


def _positive(values: Tensor) -> Tensor:
    return values.clamp(min=0)


def _negative(values: Tensor) -> Tensor:
    return values.clamp(max=0)


def _by_sign(c: Tensor, outputs: list[Tensor]) -> list[Tensor]:
    """Divide by the two outputs of the sign that the layer's own output has."""
    of = [output.detach() for output in outputs]
    up, down = of[0] + of[1], of[2] + of[3]
    above = torch.where(of[4] >= 0, c / (up + stabiliser(up)), 0.0)
    below = torch.where(of[4] < 0, c / (down + stabiliser(down)), 0.0)
    return [above, above, below, below, torch.zeros_like(c)]


class Rulebook:
    """The rules a composite has for a model's linear layers, with and without a module.

    Raises RelevanceError for a composite with hooks that are not rules of relevance.
    """

    def __init__(self, composite: Composite, model: nn.Module, biased: bool = False) -> None:
        self._composite, self._biased = composite, biased
        self.attention = AttentionRule(getattr(composite, "attention", AttentionRule.CONSTANT))
        """How relevance passes attention; a composite says so by an attribute of that name."""
        self._context: dict[Any, Any] = {}
        self._rules: dict[nn.Module, Rule] = {}
        for name, module in model.named_modules():
            hook = composite.module_map(self._context, name, module)
            if hook is None:
                continue
            if isinstance(module, LinearLayer):
                self._rules[module] = translated(hook, biased)
            elif isinstance(hook, NO_PROPAGATION):
                raise _no_rule(hook)
        self._kinds: dict[type[nn.Module], tuple[Rule, Rule]] = {}

    def rule(self, module: nn.Module | None, kind: type[nn.Module], reads_pixels: bool) -> Rule:
        """Return the rule for a linear operation inside `module`; `kind` is nn.Conv2d or another.

        A functional layer without a module gets the composite's rule for a module of its kind. If
        it reads the input, and no module has used the first-layer rule, it gets that rule.
        """
        if module is not None and module in self._rules:
            return self._rules[module]
        first, rest = self._without_module(kind)
        return first if reads_pixels else rest

    def _without_module(self, kind: type[nn.Module]) -> tuple[Rule, Rule]:
        if kind not in self._kinds:
            sizes = (1, 1) if kind is nn.Linear else (1, 1, 1)
            module = kind(*sizes, device="meta")
            context = dict(self._context)
            hooks = [self._composite.module_map(context, "", module) for _ in range(2)]
            first, rest = (
                LRP0 if hook is None else translated(hook, self._biased) for hook in hooks
            )
            self._kinds[kind] = first, rest
        return self._kinds[kind]


def translated(hook: Hook, biased: bool = False) -> Rule:
    """Return the rule that a zennit hook stands for; RelevanceError where there is none.

    `biased`: whether a bias absorbs its share under rules of one sign, as it does in zennit.
    """
    for kind, rule in _RULES.items():
        if isinstance(hook, kind):
            found = rule(hook)
            if isinstance(found, ZPlus | AlphaBeta):
                return replace(found, biased=biased)
            return found
    raise _no_rule(hook)


def _epsilon(hook: BasicHook) -> Rule:
    inverse = hook.gradient_mapper(_number(1), [_number(0)])
    return Epsilon(round(1 / float(inverse), 15))


def _gamma(hook: BasicHook) -> Rule:
    return Gamma(round(float(hook.param_modifiers[0](_number(1), "weight")) - 1, 12))


def _alpha_beta(hook: BasicHook) -> Rule:
    units = [_number(i) for i in (1, 0, 0, 0)], [_number(i) for i in (0, 0, 1, 0)]
    alpha, beta = (float(hook.reducer(unit, unit)) for unit in units)
    return AlphaBeta(alpha, -beta)


def _z_box(hook: BasicHook) -> Rule:
    low: Callable[[Tensor], Tensor] = hook.input_modifiers[1]
    high: Callable[[Tensor], Tensor] = hook.input_modifiers[2]
    return ZBox(low, high)


_RULES: dict[type[Hook], Callable[[Any], Rule]] = {
    zennit_rules.Epsilon: _epsilon,
    zennit_rules.Gamma: _gamma,
    SignedGammaHook: lambda hook: SignedGamma(hook.gamma),
    zennit_rules.ZPlus: lambda hook: ZPlus(),
    zennit_rules.AlphaBeta: _alpha_beta,
    zennit_rules.WSquare: lambda hook: WSquare(),
    zennit_rules.Flat: lambda hook: Flat(),
    zennit_rules.ZBox: _z_box,
    # On a layer with weights, dividing by the output is the epsilon rule.
    zennit_rules.Norm: lambda hook: Epsilon(),
}


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _no_rule(hook: Hook) -> RelevanceError:
    return RelevanceError(
        f"the composite asks for {type(hook).__name__}, which the dataflow engine has no rule for; "
        "use Epsilon, ZPlus, Gamma, AlphaBeta, Flat, WSquare or ZBox, or --engine zennit"
    )
