"""Composites by name: they say which layer has which rule, in zennit's terms for every engine."""

from __future__ import annotations

from torch import Tensor
from zennit.composites import (
    LAYER_MAP_BASE,
    EpsilonAlpha2Beta1,
    EpsilonAlpha2Beta1Flat,
    EpsilonGammaBox,
    EpsilonPlus,
    EpsilonPlusFlat,
    LayerMapComposite,
)
from zennit.core import Composite
from zennit.types import Linear

from melaudit.errors import ConfigurationError
from melaudit.relevance.dataflow.rulebook import AttentionRule, SignedGammaHook

Bound = float | Tensor
"""A pixel value after preprocessing: one for all channels, or a tensor (1, C, 1, 1)."""

PIXEL_BOUNDS: tuple[Bound, Bound] = (-3.0, 3.0)
"""Contains all pixels after the usual preprocessing: [0, 1], [-1, 1], ImageNet's [-2.12, 2.64]."""


def every_gamma(gamma: float, attention: AttentionRule) -> Composite:
    """Return a composite with gamma on every linear layer, and a rule for attention.

    In transformers the epsilon rule divides by differences of large numbers, and gamma matters far
    more than the rule for attention (Achtibat et al., AttnLRP, ICML 2024, appendix B.3). One gamma
    holds for the whole model. Zennit has no rule for attention, so `attention` means nothing to it.
    """
    composite = LayerMapComposite([*LAYER_MAP_BASE, (Linear, SignedGammaHook(gamma))])
    composite.attention = attention
    return composite


GAMMAS = (0.05, 0.25, 1.0)
"""A weak one, the usual one and a strong one. Chosen, not measured."""

EVERY_GAMMA: dict[str, tuple[float, AttentionRule]] = {
    f"gamma_{gamma:g}" + ("" if rule is AttentionRule.CONSTANT else f"_{rule}"): (gamma, rule)
    for rule in AttentionRule
    for gamma in GAMMAS
}
"""Composites with gamma on every linear layer, by name: for models with parts of a transformer."""

COMPOSITES: dict[str, type[Composite]] = {
    "epsilon_plus": EpsilonPlus,
    "epsilon_plus_flat": EpsilonPlusFlat,
    "epsilon_gamma_box": EpsilonGammaBox,
    "epsilon_alpha2_beta1": EpsilonAlpha2Beta1,
    "epsilon_alpha2_beta1_flat": EpsilonAlpha2Beta1Flat,
}
NAMES = (*COMPOSITES, *EVERY_GAMMA)
DEFAULT_COMPOSITE = "epsilon_plus_flat"
"""The composite where none is named."""
DEFAULT_GAMMA = "gamma_0.05"
"""The composite for a model with parts of a transformer where no images tell which one suits it."""


def candidates(*, attention: bool) -> tuple[str, ...]:
    """Return the composites to choose from for a model with parts of a transformer.

    In the order in which they are preferred where they are equally faithful: the weakest gamma
    first, since a strong one hides more of what the weights say; the usual composite last. Without
    `attention` its rule means nothing, so one composite of each gamma is enough.
    """
    constant = AttentionRule.CONSTANT
    names = [name for name, (_, rule) in EVERY_GAMMA.items() if attention or rule is constant]
    return (*sorted(names, key=lambda name: EVERY_GAMMA[name][0]), DEFAULT_COMPOSITE)


def find_composite(
    composite: str | Composite, bounds: tuple[Bound, Bound] = PIXEL_BOUNDS
) -> Composite:
    """Return the composite of that name, without canonizers; a Composite is returned as it is.

    `bounds` are the lowest and highest possible pixel after preprocessing, which only the z-box
    rule of `epsilon_gamma_box` uses. Raises ConfigurationError with all names for an unknown one.
    """
    if isinstance(composite, Composite):
        return composite
    if composite in EVERY_GAMMA:
        return every_gamma(*EVERY_GAMMA[composite])
    if composite not in COMPOSITES:
        raise ConfigurationError(
            f"there is no composite {composite!r}; choose one of {', '.join(NAMES)}, "
            "or give a zennit Composite"
        )
    named = COMPOSITES[composite]
    return named(*bounds) if named is EpsilonGammaBox else named()


def composite_name(composite: str | Composite) -> str:
    """Return the name a report gives to a composite: its own, or its class."""
    return composite if isinstance(composite, str) else type(composite).__name__
