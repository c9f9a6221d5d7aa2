"""How a figure changed between two audits, with the interval of the change.

The interval comes from the two intervals alone: that of a difference of two independent estimates
keeps the distances of each estimate from its own ends (the method of variance estimates recovery of
Zou and Donner 2008; for two proportions it is the hybrid score interval of Newcombe 1998). Ratios
are compared on the logarithmic scale, so their change is a factor. Two audits of the same images
are not independent: their true interval is narrower, so what is called a change here is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from melaudit.findings import Evidence, Findings, Rung
from melaudit.reports import scales


@dataclass(frozen=True)
class FigureChange:
    """One figure in both audits."""

    rung: Rung
    name: str
    before: float
    after: float
    change: float
    """After less before; after over before where `ratio`."""
    low: float
    high: float
    """Ends of the 95 % interval of the change."""
    ratio: bool

    @property
    def clear(self) -> bool:
        """Whether the interval excludes no change."""
        none = 1.0 if self.ratio else 0.0
        return self.low > none or self.high < none

    @property
    def worse(self) -> bool:
        """Whether the figure went away from no effect."""
        return scales.distance(self.name, self.after) > scales.distance(self.name, self.before)


def difference(
    before: tuple[float, float, float], after: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return after - before of two independent estimates (value, low, high), with its interval.

    Zou and Donner (2008), equation 2: each end of the interval is as far from the difference as the
    root of the summed squares of the two estimates' distances from the ends that point that way.
    """
    (v1, low1, high1), (v2, low2, high2) = before, after
    change = v2 - v1
    return (
        change,
        change - math.hypot(v2 - low2, high1 - v1),
        change + math.hypot(high2 - v2, v1 - low1),
    )


def figure_change(before: Evidence, after: Evidence) -> FigureChange | None:
    """Return how a figure changed; None where an estimate is unknown or off its scale."""
    first = (before.estimate, before.ci_low, before.ci_high)
    second = (after.estimate, after.ci_low, after.ci_high)
    ratio = scales.is_ratio(after.name)
    if not all(math.isfinite(e) and (e > 0 or not ratio) for e in (first[0], second[0])):
        return None
    if ratio:
        first, second = _logarithms(first), _logarithms(second)
    # An end that is not bounded (or was not known) leaves the change's end unbounded.
    value, low, high = difference(_bounded(first), _bounded(second))
    if ratio:
        value, low, high = math.exp(value), math.exp(low), _exponential(high)
    return FigureChange(
        after.rung, after.name, before.estimate, after.estimate, value, low, high, ratio
    )


def accuracy_change(before: Findings, after: Findings) -> FigureChange | None:
    """Return the change of accuracy; None where one of the audits has no labels."""
    known = []
    for p in (before.performance, after.performance):
        if p.accuracy is None or p.accuracy_low is None or p.accuracy_high is None:
            return None
        known.append((p.accuracy, p.accuracy_low, p.accuracy_high))
    first, second = known
    value, low, high = difference(first, second)
    return FigureChange(Rung.HARM, "accuracy", first[0], second[0], value, low, high, ratio=False)


def _logarithms(estimate: tuple[float, float, float]) -> tuple[float, float, float]:
    value, low, high = (math.log(e) if e > 0 else -math.inf for e in estimate)
    return value, low, high


def _bounded(estimate: tuple[float, float, float]) -> tuple[float, float, float]:
    value, low, high = estimate
    return value, -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
