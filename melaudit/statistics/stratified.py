"""Differences of two samples of images, class by class, so that another mix of classes is none.

Each class counts alike. Images of one patient (or lesion) count once, by their mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from melaudit.statistics.estimates import Tested, Vector, Z, permutation_test, resampled_means


@dataclass(frozen=True)
class TwoSamples:
    """Two samples in strata that both have, one value for each patient (or image)."""

    first: tuple[Vector, ...]
    second: tuple[Vector, ...]
    """By stratum: values (n,)."""

    @property
    def means(self) -> tuple[float, float]:
        """The mean of each sample, every stratum counting alike."""
        first, second = (
            float(np.mean([values.mean() for values in sample]))
            for sample in (self.first, self.second)
        )
        return first, second

    def test(self, seed: int) -> float:
        """Return the p-value of no difference within strata, by permutation."""
        values = np.concatenate([np.concatenate([*self.first]), np.concatenate([*self.second])])
        strata = [
            np.repeat(np.arange(len(sample)), [len(v) for v in sample])
            for sample in (self.first, self.second)
        ]
        member = np.arange(len(values)) < len(strata[0])
        return permutation_test(values, member, seed, np.concatenate(strata))


def two_samples_of(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    fewest: int,
    groups: ArrayLike | None = None,
) -> TwoSamples | None:
    """Return (values, strata) of two samples as `TwoSamples`; values that are no numbers count not.

    `groups` names the patient of every row of the first. Strata with fewer than `fewest` values in
    a sample are left out; None when none is left.
    """
    halves = [_by_stratum(*first, groups), _by_stratum(*second, None)]
    both = [
        stratum
        for stratum in halves[0]
        if min(len(half.get(stratum, ())) for half in halves) >= fewest
    ]
    if not both:
        return None
    return TwoSamples(*(tuple(half[stratum] for stratum in both) for half in halves))


def _by_stratum(
    values: ArrayLike, strata: ArrayLike, groups: ArrayLike | None
) -> dict[int, Vector]:
    value, stratum = np.asarray(values, np.float64), np.asarray(strata, np.int64)
    who = np.arange(len(value)) if groups is None else np.unique(groups, return_inverse=True)[1]
    finite = np.isfinite(value)
    found: dict[int, Vector] = {}
    for s in np.unique(stratum[finite]):
        rows = finite & (stratum == s)
        _, member = np.unique(who[rows], return_inverse=True)
        found[int(s)] = np.bincount(member, value[rows]) / np.bincount(member)
    return found


def rate_difference(samples: TwoSamples, seed: int) -> Tested:
    """Estimate the difference of two rates, first minus second.

    The interval is Agresti and Caffo's (2000): one success and one failure more in every cell, so
    that none of 20 is not taken for never.
    """
    shift = variance = 0.0
    strata = list(zip(samples.first, samples.second, strict=True))
    for pair in strata:
        shares = [(float(v.sum()) + 1) / (len(v) + 2) for v in pair]
        shift += (shares[0] - shares[1]) / len(strata)
        variance += sum(p * (1 - p) / (len(v) + 2) for p, v in zip(shares, pair, strict=True))
    width = Z * math.sqrt(variance) / len(strata)
    one, other = samples.means
    low, high = max(-1.0, shift - width), min(1.0, shift + width)
    return Tested(one - other, min(low, one - other), max(high, one - other), samples.test(seed))


def mean_shift(samples: TwoSamples, seed: int) -> Tested:
    """Estimate the difference of two means, first minus second, with a percentile bootstrap."""
    rng = np.random.default_rng(seed)
    means = [
        [resampled_means(values, None, rng) for values in sample]
        for sample in (samples.first, samples.second)
    ]
    draws = min(len(m) for sample in means for m in sample)
    first, second = (np.mean([m[:draws] for m in sample], axis=0) for sample in means)
    low, high = np.quantile(first - second, [0.025, 0.975])
    one, other = samples.means
    return Tested(one - other, float(low), float(high), samples.test(seed))
