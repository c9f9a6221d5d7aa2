"""The statistics that findings rest on: pure functions, arrays in, estimates with intervals out.

Intervals are 95 % unless another coverage is given, tests two-sided unless named otherwise.
Whatever draws random numbers takes a seed. Everything stays fast at 400,000 rows: exact methods
hand over to their large-sample forms where the two agree.
"""

# Long because: estimates and tests of shares, means and odds draw on one another.

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.stats.contingency import odds_ratio as conditional_odds_ratio

Vector = NDArray[np.float64]

COVERAGE = 0.95
"""Of all intervals, unless another is asked for."""


def z_of(coverage: float) -> float:
    """Return the standard normal quantile to which an interval of a coverage reaches."""
    return float(stats.norm.ppf((1 + coverage) / 2))


Z = z_of(COVERAGE)

MIN_WOOLF_COUNT = 100
"""From this many in every cell of a 2 x 2 table Woolf's interval is within 2 % of the exact one."""
MAX_EXACT_SUPPORT = 20_000
"""Largest support of a 2 x 2 table for the exact interval, which takes seconds beyond."""
DRAWS = 2000
"""Bootstrap resamples and permutations, where `MAX_DRAWN_VALUES` allows."""
FLIPS = 9999
"""Flips of signs of one test; where there are no more than so many in all, each is tried once."""
MIN_DRAWS = 500
MAX_DRAWN_VALUES = 40_000_000
"""Random numbers that one test may draw. Limits the time."""
CHUNK = 2_000_000
"""Random numbers in memory at a time."""
MAX_CLUSTERS = 4000
"""Where there are more rows, they are resampled in this many random groups."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; nothing was tested."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Tested(Estimate):
    """A figure, its 95 % interval, and the test of its null hypothesis."""

    p_value: float
    q_value: float | None = None
    """After correction over everything a run tested; None before: see `correction.settle`."""

    def __post_init__(self) -> None:
        """Raise ValueError for a p-value outside 0 to 1; a test without information has p = 1."""
        if not 0 <= self.p_value <= 1 + 1e-9:
            raise ValueError(f"a p-value lies from 0 to 1, got {self.p_value}")


def odds_ratio(table: ArrayLike, at_most: float = 1.0) -> Tested:
    """Estimate the odds ratio of a 2 x 2 table of counts [[a, b], [c, d]], a*d over b*c.

    Value: the sample odds ratio; with an empty cell .5 is added to each (Haldane 1956, Anscombe
    1956) so that it stays finite. Interval: exact conditional (Cornfield 1956; Fay 2010), open
    where a cell is empty; Woolf's (1955) once every cell holds `MIN_WOOLF_COUNT`. p: Fisher's exact
    test. An empty row or column tells nothing: value 1, interval 0 to infinity, p 1. Where p is
    above `at_most`, the interval is left open: it takes most of the time.
    """
    # A copy: equal tables of two questions are two tests, and tests differ by identity.
    return dataclasses.replace(_odds_ratio(tuple(_table(table).ravel().tolist()), at_most))


@lru_cache(maxsize=4096)
def _odds_ratio(cells: tuple[int, ...], at_most: float) -> Tested:
    """Estimate it; cached, since shuffles of one table's labels repeat the same few tables."""
    counts = np.array(cells).reshape(2, 2)
    if not counts.sum(0).all() or not counts.sum(1).all():
        return Tested(1.0, 0.0, math.inf, 1.0)
    (a, b), (c, d) = (counts + (0.5 if (counts == 0).any() else 0)).tolist()
    value = a * d / (b * c)
    p = float(stats.fisher_exact(counts)[1])
    if p > at_most:
        return Tested(value, 0.0, math.inf, p)
    support = min(counts.sum(0).min(), counts.sum(1).min())
    if counts.min() >= MIN_WOOLF_COUNT or support > MAX_EXACT_SUPPORT:
        width = Z * math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
        return Tested(value, value * math.exp(-width), value * math.exp(width), p)
    interval = conditional_odds_ratio(counts, kind="conditional").confidence_interval(0.95)
    return Tested(value, float(interval.low), float(interval.high), p)


def common_odds_ratio(tables: ArrayLike) -> Tested | None:
    """Estimate the odds ratio common to 2 x 2 tables (s, 2, 2), one per stratum.

    Mantel and Haenszel (1959) with the interval of Robins, Breslow and Greenland (1986) and the
    Cochran-Mantel-Haenszel test, not corrected for continuity. Strata with an empty row or column
    tell nothing and are left out; None when no stratum is left, or when the tables are so empty
    that the estimate is 0 or infinite.
    """
    counts = np.asarray(tables, np.float64).reshape(-1, 2, 2)
    counts = counts[counts.sum(1).all(1) & counts.sum(2).all(1)]
    if not len(counts):
        return None
    a, b, c, d = counts[:, 0, 0], counts[:, 0, 1], counts[:, 1, 0], counts[:, 1, 1]
    n = a + b + c + d
    r, s = a * d / n, b * c / n
    if r.sum() == 0 or s.sum() == 0:
        return None
    value = r.sum() / s.sum()
    p, q = (a + d) / n, (b + c) / n
    variance = (
        (p * r).sum() / (2 * r.sum() ** 2)
        + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
        + (q * s).sum() / (2 * s.sum() ** 2)
    )
    expected = (a + b) * (a + c) / n
    spread = (a + b) * (c + d) * (a + c) * (b + d) / (n**2 * np.maximum(n - 1, 1))
    chi = (a - expected).sum() ** 2 / spread.sum()
    width = Z * math.sqrt(variance)
    return Tested(
        float(value),
        float(value * math.exp(-width)),
        float(value * math.exp(width)),
        float(stats.chi2.sf(chi, 1)),
    )


def odds_ratio_held_fixed(first: ArrayLike, second: ArrayLike, fixed: ArrayLike) -> Estimate:
    """Estimate the odds ratio of two properties (n,) among things alike in a third (n,).

    By `common_odds_ratio` over the values of the third. Where that is 0 or infinite, .5 is added to
    each cell of each stratum, so that the interval stays finite. Value 1, interval 0 to infinity,
    where no stratum tells anything.
    """
    one, other, strata = np.asarray(first, bool), np.asarray(second, bool), np.asarray(fixed)
    tables = np.array(
        [
            [
                [(of & one & other).sum(), (of & one & ~other).sum()],
                [(of & ~one & other).sum(), (of & ~one & ~other).sum()],
            ]
            for of in (strata == value for value in np.unique(strata))
        ],
        np.float64,
    ).reshape(-1, 2, 2)
    telling = tables[tables.sum(1).all(1) & tables.sum(2).all(1)]
    if not len(telling):
        return Estimate(1.0, 0.0, math.inf)
    found = common_odds_ratio(telling) or common_odds_ratio(telling + 0.5)
    assert found is not None
    return Estimate(found.value, found.low, found.high)


def proportion(successes: int, n: int, exact: bool = False) -> Estimate:
    """Estimate a proportion with Wilson's interval (1927), or Clopper and Pearson's if exact.

    Nothing counted (n = 0) gives NaN within 0 to 1.
    """
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0)
    interval = stats.binomtest(successes, n).proportion_ci(0.95, "exact" if exact else "wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high))


def mean_difference(
    first: ArrayLike,
    second: ArrayLike,
    seed: int,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    coverage: float = COVERAGE,
) -> Estimate:
    """Estimate mean(first) - mean(second) with a percentile bootstrap (Efron 1979).

    `groups` names the patient or lesion of every row of each; whole groups are then resampled,
    since images of one patient are not independent (Field and Welsh 2007). Where the values of
    each are all alike the bootstrap says nothing; the interval then is as wide as `paired_mean`'s.
    No p-value: see `permutation_test`.
    """
    rng = np.random.default_rng(seed)
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(a) or not len(b):
        return Estimate(math.nan, -math.inf, math.inf)
    groups_a, groups_b = groups if groups is not None else (None, None)
    drawn = resampled_means(a, groups_a, rng) - resampled_means(b, groups_b, rng)
    low, high = _middle(drawn, coverage)
    value = float(a.mean() - b.mean())
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        reach = math.hypot(_unseen(a, groups_a), _unseen(b, groups_b))
        low, high = value - reach, value + reach
    return Estimate(value, low, high)


def _middle(drawn: Vector, coverage: float) -> tuple[float, float]:
    """Return between which two values the middle of those drawn lies."""
    low, high = np.quantile(drawn, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def _unseen(values: Vector, groups: ArrayLike | None) -> float:
    """Return the largest share of other values that rows all alike leave possible."""
    n = len(values) if groups is None else len(np.unique(np.asarray(groups, str)))
    return float(proportion(0, n, exact=True).high)


def mean(values: ArrayLike, seed: int, groups: ArrayLike | None = None) -> Estimate:
    """Estimate the mean of values (n,) with a percentile bootstrap (Efron 1979).

    Values of one group (patient or lesion) are resampled together. Nothing is tested.
    """
    each = np.asarray(values, np.float64)
    if not len(each):
        return Estimate(math.nan, -math.inf, math.inf)
    drawn = resampled_means(each, groups, np.random.default_rng(seed))
    low, high = _middle(drawn, COVERAGE)
    return Estimate(float(each.mean()), low, high)


def paired_mean(
    differences: ArrayLike,
    seed: int,
    groups: ArrayLike | None = None,
    coverage: float = COVERAGE,
) -> Tested:
    """Estimate the mean of paired differences (n,): bootstrap interval, sign-flip test.

    Differences of one group (patient or lesion) are resampled and flipped together. The interval is
    the percentile bootstrap's (Efron 1979); where all differences are alike it says nothing, so it
    then reaches as far as a proportion of 0 of n can exclude, in units of 1. p: two-sided, from
    flipping the signs of groups (Fisher 1935), all of them where they are few, else 9999 draws.
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        return Tested(math.nan, -math.inf, math.inf, 1.0)
    _, member = np.unique(
        np.arange(len(values)) if groups is None else np.asarray(groups, str), return_inverse=True
    )
    sums: Vector = np.bincount(member, values).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = resampled_means(values, member, rng)
    low, high = _middle(drawn, coverage)
    value = float(values.mean())
    if np.ptp(values) == 0:
        reach = float(proportion(0, len(sums), exact=True).high)
        low, high = value - reach, value + reach
    return Tested(value, low, high, _sign_flips(sums, rng))


def _sign_flips(sums: Vector, rng: np.random.Generator) -> float:
    """Return the two-sided p-value (twice the smaller side) of a sum, by flipping signs of (n,).

    All flips where they are few or all sums are of one size, which makes it binomial.
    """
    sums = sums[sums != 0]
    n, observed = len(sums), float(sums.sum())
    if not n:
        return 1.0
    if np.ptp(np.abs(sums)) == 0:
        return float(min(1.0, 2 * stats.binom.cdf(min((sums > 0).sum(), (sums < 0).sum()), n, 0.5)))
    if 2**n <= FLIPS:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        drawn, seen = signs @ sums, 0  # the observed one is among them
    else:
        step = max(1, CHUNK // n)
        sizes = [min(step, FLIPS - start) for start in range(0, FLIPS, step)]
        parts = [(2 * rng.integers(0, 2, (k, n), np.int8) - 1) @ sums for k in sizes]
        drawn, seen = np.concatenate(parts), 1
    room = 1e-12 * float(np.abs(sums).sum())  # sums that are equal but for rounding
    sides = ((drawn >= observed - room).sum(), (drawn <= observed + room).sum())
    return float(min(1.0, 2 * (min(sides) + seen) / (len(drawn) + seen)))


def paired_share(
    differences: ArrayLike,
    groups: ArrayLike | None = None,
    coverage: float = COVERAGE,
    seed: int = 0,
) -> Tested:
    """Estimate the mean of paired differences (n,) of yes and no: each is -1, 0 or 1.

    The interval is that of a difference of two proportions, those that gained and those that lost,
    from Wilson's intervals of both and their correlation (Newcombe 1998, method 10): what gained
    did not lose. A bootstrap of few differences ends where they do: of 80 images of which one
    lost, its 95 % interval does not reach above 0. Images of one group (patient or lesion) count as
    if all of them agreed: groups of unequal size as Kish's (1965) number of equal ones.
    p: as `paired_mean`'s; without groups it is exact.
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        return Tested(math.nan, -math.inf, math.inf, 1.0)
    n, equal, sums, each = len(values), _equal_groups(len(values), groups), values, values
    if groups is not None:  # what is gained and lost in one group is neither
        _, member, sizes = np.unique(
            np.asarray(groups, str), return_inverse=True, return_counts=True
        )
        sums = np.bincount(member, values).astype(np.float64)
        each = (sums / sizes)[member]
    gained, lost = (float(side.clip(min=0).sum()) / n for side in (each, -each))
    up, down = (_wilson(share, equal, z_of(coverage)) for share in (gained, lost))
    neither = (1 - gained) * (1 - lost)
    together = -math.sqrt(gained * lost / neither) if neither > 0 else 0.0
    value = float(values.mean())

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 + other**2 - 2 * together * one * other))

    return Tested(
        value,
        max(-1.0, value - reach(up.value - up.low, down.high - down.value)),
        min(1.0, value + reach(up.high - up.value, down.value - down.low)),
        _sign_flips(sums, np.random.default_rng(seed)),
    )


def share_of(
    values: ArrayLike, groups: ArrayLike | None = None, coverage: float = COVERAGE
) -> Estimate:
    """Estimate the share of yes in values (n,), each 0 or 1, with Wilson's interval (1927).

    Images of one group count as in `paired_share`. Nothing counted gives NaN within 0 to 1.
    """
    each = np.asarray(values, np.float64)
    if not len(each):
        return Estimate(math.nan, 0.0, 1.0)
    return _wilson(float(each.mean()), _equal_groups(len(each), groups), z_of(coverage))


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Estimate first - second of two independent estimates.

    Each end is as far from the difference as the root of the summed squares of both estimates'
    distances from the ends that point that way (Zou and Donner 2008, equation 2; of two shares it
    is the hybrid score interval of Newcombe 1998).
    """
    value = first.value - second.value
    return Estimate(
        value,
        value - math.hypot(first.value - first.low, second.high - second.value),
        value + math.hypot(first.high - first.value, second.value - second.low),
    )


def _equal_groups(n: int, groups: ArrayLike | None) -> float:
    """Return how many groups of one size tell as much as those of n values, if each agrees."""
    if groups is None:
        return float(n)
    _, sizes = np.unique(np.asarray(groups, str), return_counts=True)
    return n**2 / float((sizes.astype(np.float64) ** 2).sum())


def _wilson(share: float, n: float, reach: float) -> Estimate:
    """Return a proportion with Wilson's interval (1927); neither need be of whole numbers.

    reach: the standard normal quantile to which the interval reaches.
    """
    z = reach * reach / n
    centre = (share + z / 2) / (1 + z)
    width = math.sqrt(z * (share * (1 - share) + z / 4)) / (1 + z)
    return Estimate(share, max(0.0, centre - width), min(1.0, centre + width))


def two_samples(
    first: ArrayLike,
    second: ArrayLike,
    seed: int,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    coverage: float = COVERAGE,
) -> Tested:
    """Estimate mean(first) - mean(second) as `mean_difference`, with a permutation test.

    Where groups are known, the test assigns whole groups to the two samples.
    """
    estimate = mean_difference(first, second, seed, groups, coverage)
    values = np.concatenate([np.asarray(first, np.float64), np.asarray(second, np.float64)])
    member = np.arange(len(values)) < len(np.asarray(first))
    if groups is not None:  # one value for each group and sample, so that groups count once
        names = np.concatenate([np.asarray(g, str) for g in groups])
        _, of = np.unique(np.stack([names, member.astype(str)]), axis=1, return_inverse=True)
        sizes = np.bincount(of)
        values = np.bincount(of, values) / sizes
        member = np.bincount(of, member) > 0
    return Tested(
        estimate.value, estimate.low, estimate.high, permutation_test(values, member, seed)
    )


def resampled_means(values: Vector, groups: ArrayLike | None, rng: np.random.Generator) -> Vector:
    """Return the means (draws,) of bootstrap samples of whole groups of rows."""
    if groups is not None:
        _, member = np.unique(np.asarray(groups), return_inverse=True)
    elif len(values) > MAX_CLUSTERS:
        # Random groups are as independent as rows, and few enough to resample often.
        member = rng.permutation(len(values)) % MAX_CLUSTERS
    else:
        member = np.arange(len(values))
    totals, sizes = np.bincount(member, values), np.bincount(member).astype(np.float64)
    draws = _draws(len(totals))
    means = np.empty(draws)
    step = max(1, CHUNK // len(totals))
    for start in range(0, draws, step):
        stop = min(start + step, draws)
        pick = rng.integers(0, len(totals), (stop - start, len(totals)))
        means[start:stop] = totals[pick].sum(1) / sizes[pick].sum(1)
    return means


def permutation_test(
    values: ArrayLike, member: ArrayLike, seed: int, strata: ArrayLike | None = None
) -> float:
    """Return the p-value of no difference in means between members and others within strata.

    Membership is shuffled within each stratum and the members' sum compared, two-sided about its
    expectation (Ernst 2004). Where more than `MAX_DRAWN_VALUES` numbers would be drawn, the sum is
    compared with the normal law that has its exact permutation mean and variance (Hoeffding 1951).
    """
    value, is_member = np.asarray(values, np.float64), np.asarray(member, np.bool_)
    stratum = np.zeros(len(value), np.int64) if strata is None else np.asarray(strata)
    parts = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    parts = [rows for rows in parts if 0 < is_member[rows].sum() < len(rows)]
    if not parts:
        return 1.0
    # Centred within strata, the members' sum has expectation 0 under the null.
    centred = [value[rows] - value[rows].mean() for rows in parts]
    chosen = [int(is_member[rows].sum()) for rows in parts]
    observed = sum(float(v[is_member[rows]].sum()) for v, rows in zip(centred, parts, strict=True))
    n = sum(len(rows) for rows in parts)
    variance = sum(
        k * (len(v) - k) / len(v) * v.var(ddof=1) for v, k in zip(centred, chosen, strict=True)
    )
    if variance == 0:
        return 1.0
    if n * MIN_DRAWS > MAX_DRAWN_VALUES:
        return float(2 * stats.norm.sf(abs(observed) / math.sqrt(variance)))
    rng = np.random.default_rng(seed)
    draws = _draws(n)
    sums = np.zeros(draws)
    for v, k in zip(centred, chosen, strict=True):
        step = max(1, CHUNK // len(v))
        for start in range(0, draws, step):
            stop = min(start + step, draws)
            shuffled = rng.permuted(np.broadcast_to(v, (stop - start, len(v))), axis=1)
            sums[start:stop] += shuffled[:, :k].sum(1)
    extreme = int((np.abs(sums) >= abs(observed) * (1 - 1e-12)).sum())
    return (extreme + 1) / (draws + 1)


def auc(scores: ArrayLike, positive: ArrayLike) -> Tested:
    """Estimate the area under the ROC curve, after DeLong, DeLong and Clarke-Pearson (1988).

    Scores (n,), positive (n,) true where the thing is present. The variance is computed from
    midranks (Sun and Xu 2014), the interval on the logit scale so that it stays within 0 and 1.
    Where all are told apart the variance is 0; the interval then reaches as far as a smaller class
    of that size can exclude: .025 ** (1 / n). p: against .5.
    Raises ValueError when one of the classes is empty.
    """
    score, is_positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    x, y = score[is_positive], score[~is_positive]
    m, n = len(x), len(y)
    if not m or not n:
        raise ValueError(f"got {m} positives and {n} negatives; an AUC needs both")
    both = stats.rankdata(np.concatenate([x, y]))
    above_x = (both[:m] - stats.rankdata(x)) / n
    above_y = 1 - (both[m:] - stats.rankdata(y)) / m
    value = float(above_x.mean())
    p = float(stats.mannwhitneyu(x, y, method="asymptotic").pvalue) if np.ptp(score) > 0 else 1.0
    if value in (0.0, 1.0):
        reach = 0.025 ** (1 / min(m, n))
        return Tested(value, reach, 1.0, p) if value else Tested(value, 0.0, 1 - reach, p)
    variance = sum(v.var(ddof=1) / len(v) if len(v) > 1 else v[0] for v in (above_x, above_y))
    logit = math.log(value / (1 - value))
    width = Z * math.sqrt(variance) / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-(logit + side * width))) for side in (-1, 1))
    return Tested(value, low, high, p)


def _draws(n: int) -> int:
    """Return how often n rows may be redrawn within `MAX_DRAWN_VALUES`."""
    return int(np.clip(MAX_DRAWN_VALUES // max(n, 1), MIN_DRAWS, DRAWS))


def _table(table: ArrayLike) -> NDArray[np.int64]:
    """Return a 2 x 2 table of counts, or say what is wrong with it."""
    counts = np.asarray(table)
    if counts.shape != (2, 2) or (counts < 0).any() or (counts != np.round(counts)).any():
        raise ValueError(f"got {counts.tolist()}; an odds ratio needs a 2 x 2 table of counts")
    return counts.astype(np.int64)
