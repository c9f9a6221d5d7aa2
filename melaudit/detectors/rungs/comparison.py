"""One edit against another, image by image: the change of decisions, and that of log-odds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from melaudit.detectors.rungs.trials import Rows, Values, called, log_odds
from melaudit.measurements import Measurements, Trials
from melaudit.statistics.estimates import (
    Tested,
    difference,
    paired_mean,
    paired_share,
    two_samples,
)


def beyond(
    measurements: Measurements,
    trials: Trials,
    chosen: Rows,
    against: Rows,
    target: int,
    coverage: float,
    fewest: int,
    *,
    margins: bool,
) -> Tested:
    """Estimate the mean change under an edit less that under its placebo.

    chosen, against: the rows of `trials` of the edit and of its placebo. What changes is the
    log-odds of the class `target`, or the share of decisions for it.
    """

    def change(at: Rows) -> Values:
        if margins:
            moved = log_odds(trials.after[at], target) - log_odds(trials.before[at], target)
            return np.clip(moved, -50, 50)  # a saturated output must not outweigh all others
        after, before = called(trials.after[at], target), called(trials.before[at], target)
        return after.astype(np.float64) - before

    both = (trials.rows[chosen], trials.rows[against])
    changes = (change(chosen), change(against))
    return less(measurements, changes, both, coverage, fewest, shares=not margins)


def less(
    measurements: Measurements,
    values: tuple[Values, Values],
    rows: tuple[Rows, Rows],
    coverage: float,
    fewest: int,
    *,
    shares: bool,
) -> Tested:
    """Estimate the mean of the first values less that of the second.

    rows: the images that they are of, in ascending order. The same images in both are compared
    image by image, where there are `fewest` of them; else the two means are. Of shares, whose
    values are -1, 0 or 1 and alike in both before any edit, the interval is a share's: few or none
    may differ.
    """
    seed, groups = measurements.seed, measurements.groups
    alone = groups is None
    named = (lambda at: at) if groups is None else (lambda at: groups[at])
    common = np.intersect1d(*rows)
    if len(common) >= fewest and len(common) >= 0.8 * min(map(len, rows)):
        first, second = (v[np.searchsorted(r, common)] for v, r in zip(values, rows, strict=True))
        if shares:
            return paired_share(first - second, None if alone else named(common), coverage, seed)
        return paired_mean(first - second, seed, named(common), coverage)
    names = (named(rows[0]), named(rows[1]))
    more = two_samples(*values, seed, names, coverage)
    if not shares:
        return more
    own = difference(*(paired_share(v, n, coverage) for v, n in zip(values, names, strict=True)))
    most = max(1.0, abs(more.value))  # no interval says more than all
    return replace(more, low=max(own.low, -most), high=min(own.high, most))
