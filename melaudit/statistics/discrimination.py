"""How well a probability tells one class from the rest: the areas under both curves, and points.

Scores are (n,), higher for the class; `positive` (n,) is true for its images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve

from melaudit.statistics.estimates import Estimate, Vector, auc
from melaudit.statistics.resampling import bootstrap

MAX_POINTS = 100
"""Points of a curve that are kept. A drawing shows no more. Chosen: a round figure, not measured.
"""


@dataclass(frozen=True)
class ThresholdPoint:
    """What becomes of the images if the class is predicted from a probability on."""

    threshold: float
    sensitivity: float
    false_positive_rate: float
    precision: float


def threshold_points(scores: ArrayLike, positive: ArrayLike) -> tuple[ThresholdPoint, ...]:
    """Return what each threshold gives, from the highest to the lowest; at most `MAX_POINTS`.

    The same points make the ROC curve and the curve of precision against recall. Of more points
    some are left out, evenly. Raises ValueError when one of the classes is empty.
    """
    score, is_positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    p, n = int(is_positive.sum()), int((~is_positive).sum())
    if not p or not n:
        raise ValueError(f"got {p} positives and {n} negatives; a curve needs both")
    false, true, thresholds = roc_curve(is_positive, score, drop_intermediate=False)
    hits, alarms = true[1:] * p, false[1:] * n  # the first point stands before all thresholds
    kept = np.unique(np.linspace(0, len(hits) - 1, min(MAX_POINTS, len(hits))).round().astype(int))
    return tuple(
        ThresholdPoint(
            threshold=float(thresholds[1 + k]),
            sensitivity=float(true[1 + k]),
            false_positive_rate=float(false[1 + k]),
            precision=float(hits[k] / (hits[k] + alarms[k])),
        )
        for k in kept
    )


def area(
    scores: ArrayLike, positive: ArrayLike, seed: int, groups: ArrayLike | None = None
) -> Estimate:
    """Estimate the area under the ROC curve.

    The interval is DeLong's (see `estimates.auc`); where groups (patients) are known, the
    bootstrap's over groups. Raises ValueError when one of the classes is empty.
    """
    plain = auc(scores, positive)
    if groups is None or plain.value in (0.0, 1.0):
        return Estimate(plain.value, plain.low, plain.high)
    ranked = _Ranked(scores, positive)
    return bootstrap(ranked.area, ranked.n, seed, groups)


def average_precision(
    scores: ArrayLike, positive: ArrayLike, seed: int, groups: ArrayLike | None = None
) -> Estimate:
    """Estimate the average precision: the area under precision against recall, as a step function.

    The interval is the bootstrap's, over groups (patients) where they are known.
    """
    ranked = _Ranked(scores, positive)
    return bootstrap(ranked.average_precision, ranked.n, seed, groups)


class _Ranked:
    """Scores sorted once, so that each bootstrap sample is a few sums."""

    def __init__(self, scores: ArrayLike, positive: ArrayLike) -> None:
        values, self._tie = np.unique(np.asarray(scores, np.float64), return_inverse=True)
        self._positive = np.asarray(positive, np.bool_)
        self._values = len(values)
        self.n = len(self._positive)

    def _counts(self, weights: Vector) -> tuple[Vector, Vector]:
        """Return the weight of positives and of negatives at each score, the highest first."""
        true, false = (
            np.bincount(self._tie[rows], weights[rows], self._values)[::-1].astype(np.float64)
            for rows in (self._positive, ~self._positive)
        )
        return true, false

    def area(self, weights: Vector) -> float:
        true, false = self._counts(weights)
        pairs = true.sum() * false.sum()
        if pairs == 0:
            return math.nan
        lower = false.sum() - np.cumsum(false) + false / 2
        return float((true * lower).sum() / pairs)

    def average_precision(self, weights: Vector) -> float:
        true, false = self._counts(weights)
        if true.sum() == 0:
            return math.nan
        hits, alarms = np.cumsum(true), np.cumsum(false)
        precision = hits / np.maximum(hits + alarms, 1e-12)  # no weight: nothing is added
        return float((true * precision).sum() / true.sum())
