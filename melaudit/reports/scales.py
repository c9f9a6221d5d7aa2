"""The scale of a figure, taken from its name: which value means no effect, how two are compared.

A detector names its figures in the field's words. "odds ratio" and "relevance on the ring over that
in the same place" are ratios (no effect is 1), "excess" and "change" are differences (no effect
is 0), and an area under a ROC curve is 0.5 by chance. For other figures the name does not tell
which value means no effect. Shares of images or of relevance are written as percentages.
"""

from __future__ import annotations

import math
import re

from melaudit import wording

_RATIO = re.compile(r"\b(ratio|over|times|fold)\b", re.IGNORECASE)
_AREA = re.compile(r"\bROC curve\b", re.IGNORECASE)
_DIFFERENCE = re.compile(
    r"\b(difference|excess|change|changed|rise|fall|drop|gain|loss|lost|shift|more|fewer)\b",
    re.IGNORECASE,
)

_SHARE = re.compile(r"\b(share|rates|relevance excess)\b", re.IGNORECASE)


def is_ratio(name: str) -> bool:
    """Tell whether a figure of this name is a ratio, to be compared on a logarithmic scale."""
    return _RATIO.search(name) is not None


def no_effect(name: str) -> float | None:
    """Return the value that means no effect, None where the name does not tell."""
    if is_ratio(name):
        return 1.0
    if _AREA.search(name) and not _DIFFERENCE.search(name):
        return 0.5
    return 0.0 if _DIFFERENCE.search(name) else None


def distance(name: str, value: float) -> float:
    """Return how far a figure is from no effect, on its own scale; from 0 where that is unknown."""
    if is_ratio(name):
        return abs(math.log(value)) if value > 0 else math.inf
    return abs(value - (no_effect(name) or 0.0))


def is_share(name: str) -> bool:
    """Tell whether a figure of this name is a share of 1 or a difference of two."""
    return _SHARE.search(name) is not None and not is_ratio(name)


def written(name: str, value: float | None) -> str:
    """Return a figure in the form its name asks for: 0.38 as "38 %" where it is a share."""
    if not is_share(name) or value is None:
        return wording.figure(value)
    return wording.rounded_percent(value, wording.percent_digits(value))


def plain(name: str) -> str:
    """Return the name of a figure as it stands beside one that `written` wrote."""
    return name.removesuffix(" (share)")
