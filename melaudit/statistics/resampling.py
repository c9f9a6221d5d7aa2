"""Bootstrap intervals of figures that are more than a mean, by patient where patients are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melaudit.statistics.estimates import (
    DRAWS,
    MAX_CLUSTERS,
    MAX_DRAWN_VALUES,
    MIN_DRAWS,
    Estimate,
    Vector,
    mean,
    proportion,
)

Statistic = Callable[[Vector], float]
"""From the weights of rows (n,) to a figure: a weight says how often the row was drawn."""


def bootstrap(statistic: Statistic, n: int, seed: int, groups: ArrayLike | None = None) -> Estimate:
    """Estimate a statistic of n rows with a percentile bootstrap (Efron 1979).

    Rows of one group (patient or lesion) are drawn together, since images of one patient are not
    independent (Field and Welsh 2007). Draws for which the statistic is NaN, as an area without a
    single positive, do not count.
    """
    value = statistic(np.ones(n))
    member = clusters(n, seed, groups)
    drawn = [statistic(weights) for weights in weights_drawn(member, seed)]
    finite = np.array([v for v in drawn if math.isfinite(v)])
    if not len(finite):
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(finite, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))


def clusters(n: int, seed: int, groups: ArrayLike | None) -> NDArray[np.int64]:
    """Return the cluster (n,) that each row is drawn with: its group, or itself.

    Where there are more than `MAX_CLUSTERS` rows without groups, random ones stand for them.
    """
    if groups is not None:
        return np.unique(np.asarray(groups, str), return_inverse=True)[1].astype(np.int64)
    if n > MAX_CLUSTERS:
        return np.random.default_rng(seed).permutation(n) % MAX_CLUSTERS
    return np.arange(n)


def weights_drawn(member: NDArray[np.int64], seed: int) -> Iterator[Vector]:
    """Yield the weights (n,) of the rows in each bootstrap sample of their clusters (n,).

    One at a time: all of them together would be the largest thing in memory.
    """
    n, total = len(member), int(member.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    draws = int(np.clip(MAX_DRAWN_VALUES // max(n, 1), MIN_DRAWS, DRAWS))
    for _ in range(draws):
        times = np.bincount(rng.integers(0, total, total), minlength=total)
        yield times[member].astype(np.float64)


def share(is_true: ArrayLike, seed: int, groups: ArrayLike | None = None) -> Estimate:
    """Estimate the share of rows (n,) that are true, at 95 %.

    Wilson's interval (1927); where some groups (patients) have several rows, the bootstrap's over
    groups. Where all rows are alike, which the bootstrap takes for certain, Wilson's of the groups.
    """
    rows = np.asarray(is_true, np.bool_)
    total = len(rows) if groups is None else len(np.unique(np.asarray(groups, str)))
    if total == len(rows):
        return proportion(int(rows.sum()), len(rows))
    if rows.all() or not rows.any():
        return proportion(total if rows.all() else 0, total)
    return mean(rows, seed, groups)
