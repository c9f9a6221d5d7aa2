"""Averages that zennit cannot follow, since no module takes them.

zennit gives an average its share of relevance by a rule on nn.AvgPool2d, nn.AdaptiveAvgPool2d and
their like. Of x.mean((2, 3)) or functional.avg_pool2d it sees the gradient alone, which spreads
relevance evenly over what is averaged, also where there is nothing. The sum stays right, so no
check of conservation finds it: on one small network, whose mean was written so, the cosine with
melaudit's own maps was 0.76 to 0.91, and 1.0000 with the same average as a module.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from zennit.types import AvgPool

from melaudit.relevance.watching import Called, watching

_AVERAGES = frozenset(
    ("mean", *(f"{kind}avg_pool{d}d" for kind in ("", "adaptive_") for d in (1, 2, 3)))
)


def unseen_averages(model: nn.Module, run: Callable[[], object]) -> tuple[str, ...]:
    """Return the averages that the model takes outside modules for them, while `run` runs it.

    Each once, with the module that calls it: "mean in head (Head)".
    """
    unseen: dict[str, None] = {}

    def note(call: Called) -> None:
        by_module = call.inside is not None and isinstance(call.inside[1], AvgPool)
        if call.name in _AVERAGES and not by_module:
            unseen[call.place] = None

    with watching(model, note):
        run()
    return tuple(unseen)
