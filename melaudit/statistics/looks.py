"""Trials that may end early: what looking more than once costs, so that no error rate grows.

Whoever looks at the answers several times, and stops when they suit, is wrong more often than a
single test would be. Each look therefore has a share of the error, and the shares add up to 1
(Bonferroni, weighted): its intervals cover 1 - .05 * share, so that those of all looks hold
together in 95 of 100 trials (repeated confidence intervals: Jennison and Turnbull 1989), and its
p-values are divided by its share. This holds whatever the rule by which a trial ends, and whether
or not it is followed. Boundaries that spend the error by a rule (Haybittle 1971, Peto et al. 1976,
O'Brien and Fleming 1979, Lan and DeMets 1983) would leave the last look a little more.
"""

from __future__ import annotations

import dataclasses
import math

from melaudit.statistics.estimates import COVERAGE, Tested, z_of


def coverage_of(share: float) -> float:
    """Return the coverage of the intervals of a look with a share (0 to 1) of the error."""
    return 1 - share * (1 - COVERAGE)


def at_look(test: Tested, share: float) -> Tested:
    """Correct the p-value of a test for being made at a look with a share of the error."""
    return dataclasses.replace(test, p_value=min(1.0, test.p_value / share))


def fewest_to_exclude(change: float, share: float = 1.0) -> int:
    """Return the images of which none may turn, so that as large a change is excluded.

    change: share of images that turn; share: of the error. By Wilson's bound and the exact one,
    whichever is the more careful: 36 for a change of .1 and all of the error.
    """
    by_wilson = z_of(coverage_of(share)) ** 2 * (1 - change) / change
    exact = math.log((1 - coverage_of(share)) / 2) / math.log(1 - change)
    return math.ceil(max(by_wilson, exact))
