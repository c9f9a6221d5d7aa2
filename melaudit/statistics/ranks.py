"""Ranks: does a quantity order two groups, and does it within strata?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from melaudit.statistics.estimates import Estimate, Tested, Z, auc


def stratified_auc(scores: ArrayLike, positive: ArrayLike, strata: ArrayLike) -> Tested | None:
    """Estimate the area under the ROC curve over pairs of the same stratum.

    Scores (n,), positive (n,) true in the group, strata (n,). Value: the share of pairs of a member
    and another, both of one stratum, in which the member scores higher (ties count half). Interval:
    DeLong's variances, weighted by the squared numbers of pairs. p: the sum of the strata's
    Mann-Whitney statistics against its permutation mean and variance, with ties (van Elteren 1960,
    strata weighted by their pairs). None when no stratum has both kinds.
    """
    score, member = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    stratum = np.asarray(strata)
    pairs = wins = spread = uncertainty = 0.0
    for s in np.unique(stratum):
        rows = stratum == s
        m, n = int(member[rows].sum()), int((~member[rows]).sum())
        if not m or not n:
            continue
        one = auc(score[rows], member[rows])
        pairs, wins = pairs + m * n, wins + m * n * one.value
        spread += _permuted_variance(score[rows], m, n)
        uncertainty += (m * n * _deviation(one)) ** 2
    if not pairs:
        return None
    value = wins / pairs
    p = 1.0
    if spread > 0:
        p = float(2 * stats.norm.sf(abs(wins - pairs / 2) / math.sqrt(spread)))
    width = Z * math.sqrt(uncertainty) / pairs
    return Tested(value, max(0.0, value - width), min(1.0, value + width), p)


def _permuted_variance(scores: NDArray[np.float64], m: int, n: int) -> float:
    """Return the variance of Mann-Whitney's U of m against n when all orders are alike."""
    total = m + n
    _, ties = np.unique(scores, return_counts=True)
    lost = float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * max(total - 1, 1))
    return m * n / 12 * (total + 1 - lost)


def _deviation(estimate: Estimate) -> float:
    """Return the standard error that an interval on the logit scale came from."""
    if estimate.value in (0.0, 1.0):
        return (estimate.high - estimate.low) / Z
    logits = [math.log(end / (1 - end)) for end in (estimate.low, estimate.high) if 0 < end < 1]
    if len(logits) < 2:
        return 0.5
    return (logits[1] - logits[0]) / (2 * Z) * estimate.value * (1 - estimate.value)


def minimum_detectable_auc(
    m: int, n: int, beyond: float = 0.5, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Return the smallest area above .5 whose interval would have ended above `beyond`.

    For m against n, by the variance of ranks without a difference (Noether 1987). None where not
    even a complete separation would be seen.
    """
    if m < 1 or n < 1:
        return None
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    area = beyond + z * math.sqrt((m + n + 1) / (12 * m * n))
    return area if area < 1 else None
