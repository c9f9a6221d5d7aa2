"""How a figure changed between two audits, with the interval of the change.

The interval comes from the two intervals alone: that of a difference of two independent estimates
keeps the distances of each estimate from its own ends (the method of variance estimates recovery of
Zou and Donner 2008; for two proportions it is the hybrid score interval of Newcombe 1998). Ratios
are compared on the logarithmic scale, so their change is a factor. Two audits of the same images
are not independent: their true interval is narrower, so what is called a change here is one, and
the interval is said to be "at most" this wide. Accuracy is compared image by image where the
answers to each image are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from melaudit.findings import Evidence, Findings, Rung
from melaudit.reports import scales
from melaudit.statistics import estimates
from melaudit.statistics.estimates import Estimate, paired_share

Pairs = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Whether each of n images was right in the first audit, and in the second."""


class Shared(StrEnum):
    """What two audits have in common."""

    NOTHING = "nothing"
    IMAGES = "images"
    """The same images: figures make pairs, and are not independent."""
    MODEL = "model"
    """The same images and the same model: figures that agree are one figure."""


def shared_images(before: Findings, after: Findings) -> Shared:
    """Return what two audits have in common."""
    a, b = before.provenance, after.provenance
    if a.data_fingerprint != b.data_fingerprint:
        return Shared.NOTHING
    return Shared.MODEL if a.model_sha256 == b.model_sha256 else Shared.IMAGES


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
    shared: Shared = Shared.NOTHING

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

    See `estimates.difference`.
    """
    change = estimates.difference(Estimate(*after), Estimate(*before))
    return change.value, change.low, change.high


def figure_change(
    before: Evidence, after: Evidence, shared: Shared = Shared.NOTHING
) -> FigureChange | None:
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
    if shared is Shared.MODEL and before.estimate == after.estimate:
        low = high = value
    return FigureChange(
        after.rung, after.name, before.estimate, after.estimate, value, low, high, ratio, shared
    )


def accuracy_change(
    before: Findings, after: Findings, right: Pairs | None = None
) -> FigureChange | None:
    """Return the change of accuracy; None where one of the audits has no labels.

    right: (n,) twice, of the images that both audits have. With it the change is that of pairs: its
    interval is `estimates.paired_share`'s, and none where no image differs.
    """
    known = []
    for p in (before.performance, after.performance):
        if p.accuracy is None or p.accuracy_low is None or p.accuracy_high is None:
            return None
        known.append((p.accuracy, p.accuracy_low, p.accuracy_high))
    first, second = known
    shared = shared_images(before, after)
    if right is not None and len(right[0]):
        apart = right[1].astype(np.float64) - right[0]
        change = paired_share(apart)
        ends = (change.low, change.high) if apart.any() else (0.0, 0.0)
        means = float(right[0].mean()), float(right[1].mean())
        return FigureChange(
            Rung.HARM, "accuracy", *means, change.value, *ends, ratio=False, shared=shared
        )
    value, low, high = difference(first, second)
    if shared is Shared.MODEL and first == second:
        low = high = 0.0
    return FigureChange(
        Rung.HARM, "accuracy", first[0], second[0], value, low, high, ratio=False, shared=shared
    )


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
