"""One edit against another, image by image: the change of decisions, and that of log-odds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from melaudit.detectors.rungs.trials import Rows, Values, called, log_odds
from melaudit.measurements import Measurements, Trials
from melaudit.statistics.estimates import (
    Estimate,
    Tested,
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
) -> tuple[Tested, Estimate]:
    """Estimate the mean change under an edit less that under its placebo.

    chosen, against: the rows of `trials` of the edit and of its placebo. The same images under both
    are compared image by image, where there are `fewest` of them; else the two means are. Beside
    the tested estimate stands the one that absence is claimed by, where shares are compared.
    """

    def change(at: Rows) -> Values:
        if margins:
            moved = log_odds(trials.after[at], target) - log_odds(trials.before[at], target)
            return np.clip(moved, -50, 50)  # a saturated output must not outweigh all others
        after, before = called(trials.after[at], target), called(trials.before[at], target)
        return after.astype(np.float64) - before

    rows, others = trials.rows[chosen], trials.rows[against]
    groups = measurements.groups
    named = (lambda at: at) if groups is None else (lambda at: groups[at])
    common = np.intersect1d(rows, others)
    if len(common) >= fewest and len(common) >= 0.8 * min(len(rows), len(others)):
        first = change(chosen[np.searchsorted(rows, common)])
        second = change(against[np.searchsorted(others, common)])
        more = paired_mean(first - second, measurements.seed, named(common), coverage)
        if margins:
            return more, more
        return of_shares(more), paired_share(first - second, named(common), coverage)
    own, theirs = change(chosen), change(against)
    both = (named(rows), named(others))
    more = two_samples(own, theirs, measurements.seed, both, coverage)
    if margins:
        return more, more
    one, two = paired_share(own, both[0], coverage), paired_share(theirs, both[1], coverage)
    low = math.hypot(one.value - one.low, two.high - two.value)
    high = math.hypot(one.high - one.value, two.value - two.low)
    return of_shares(more), Estimate(more.value, more.value - low, more.value + high)


def of_shares(more: Tested) -> Tested:
    """Return a difference of shares with an interval that says no more than all, either way."""
    most = max(1.0, abs(more.value))
    return replace(more, low=max(more.low, -most), high=min(more.high, most))
