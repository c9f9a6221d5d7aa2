"""The statistics against other implementations, brute force and simulation."""

from __future__ import annotations

import itertools
import math
import time
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from melaudit.statistics import estimates as statistics


def fisher_by_hand(table: list[list[int]]) -> float:
    """Sum the exact probabilities of all tables with the same margins, no likelier than this."""
    (a, b), (c, d) = table
    row, column, n = a + b, a + c, a + b + c + d

    def chance(x: int) -> Fraction:
        ways = math.comb(row, x) * math.comb(n - row, column - x)
        return Fraction(ways, math.comb(n, column))

    lowest, highest = max(0, column - (n - row)), min(row, column)
    own = chance(a)
    every = (chance(x) for x in range(lowest, highest + 1))
    return float(sum(p for p in every if p <= own * Fraction(1000001, 1000000)))


@pytest.mark.parametrize("table", [[[9, 2], [3, 8]], [[206, 1], [294, 499]], [[5, 5], [5, 5]]])
def test_the_odds_ratio_is_the_cross_product_with_fishers_p(table: list[list[int]]) -> None:
    odds = statistics.odds_ratio(table)
    (a, b), (c, d) = table
    assert odds.value == pytest.approx(a * d / (b * c))
    assert odds.p_value == pytest.approx(fisher_by_hand(table), rel=1e-6)
    assert odds.low < odds.value < odds.high


def test_the_exact_interval_cuts_off_two_and_a_half_percent_on_each_side() -> None:
    table = [[9, 2], [3, 8]]
    odds = statistics.odds_ratio(table)
    law = stats.nchypergeom_fisher
    assert law(22, 11, 12, odds.low).sf(8) == pytest.approx(0.025, rel=1e-3)
    assert law(22, 11, 12, odds.high).cdf(9) == pytest.approx(0.025, rel=1e-3)


def test_an_empty_cell_gives_a_finite_odds_ratio_and_an_open_interval() -> None:
    odds = statistics.odds_ratio([[10, 0], [300, 300]])
    assert odds.value == pytest.approx(10.5 * 300.5 / (0.5 * 300.5))
    assert odds.low > 1
    assert odds.high == math.inf


def test_an_empty_row_tells_nothing() -> None:
    odds = statistics.odds_ratio([[0, 0], [5, 7]])
    assert (odds.value, odds.low, odds.high, odds.p_value) == (1.0, 0.0, math.inf, 1.0)


def test_large_tables_take_no_time_and_join_the_exact_interval_smoothly() -> None:
    start = time.perf_counter()
    large = statistics.odds_ratio([[20_600, 20_000], [179_400, 180_000]])
    assert time.perf_counter() - start < 0.5
    assert (large.low, large.high) == pytest.approx((1.01239, 1.05493), rel=1e-4)
    below, above = [[99, 150], [120, 140]], [[100, 150], [120, 140]]
    near, far = statistics.odds_ratio(below), statistics.odds_ratio(above)
    assert near.low / near.value == pytest.approx(far.low / far.value, rel=0.03)
    assert near.high / near.value == pytest.approx(far.high / far.value, rel=0.03)


@pytest.mark.parametrize("bad", [[[1, 2, 3], [4, 5, 6]], [[1, -2], [3, 4]], [[0.5, 1], [1, 1]]])
def test_what_is_no_table_of_counts_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="2 x 2 table of counts"):
        statistics.odds_ratio(bad)


TABLES = [[[21, 10], [12, 40]], [[8, 3], [9, 17]], [[30, 22], [14, 26]]]


def test_the_common_odds_ratio_agrees_with_statsmodels() -> None:
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    theirs = contingency.StratifiedTable([np.array(t) for t in TABLES])
    ours = statistics.common_odds_ratio(TABLES)
    assert ours is not None
    assert ours.value == pytest.approx(theirs.oddsratio_pooled)
    assert (ours.low, ours.high) == pytest.approx(theirs.oddsratio_pooled_confint())
    assert ours.p_value == pytest.approx(theirs.test_null_odds(correction=False).pvalue)


def test_the_common_odds_ratio_undoes_simpsons_paradox() -> None:
    # Within each label the artifact makes no difference; pooled, it seems to.
    tables = [[[90, 10], [9, 1]], [[1, 9], [10, 90]]]
    common = statistics.common_odds_ratio(tables)
    assert common is not None
    assert common.value == pytest.approx(1)
    assert statistics.odds_ratio(np.sum(tables, 0)).value > 10


def test_strata_that_tell_nothing_leave_no_common_odds_ratio() -> None:
    assert statistics.common_odds_ratio([[[0, 0], [3, 4]], [[2, 0], [3, 0]]]) is None


def test_proportions_have_wilsons_interval_or_the_exact_one() -> None:
    k, n, z = 7, 50, 1.959963984540054
    wilson = statistics.proportion(k, n)
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    assert (wilson.low, wilson.high) == pytest.approx((centre - half, centre + half))
    exact = statistics.proportion(k, n, exact=True)
    assert stats.binom.sf(k - 1, n, exact.low) == pytest.approx(0.025)
    assert stats.binom.cdf(k, n, exact.high) == pytest.approx(0.025)
    nothing = statistics.proportion(0, 0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 33, 50, 999])
def test_wilsons_interval_ends_exactly_at_none_and_at_all(n: int) -> None:
    none, every = statistics.proportion(0, n), statistics.proportion(n, n)
    assert (none.value, none.low, every.value, every.high) == (0.0, 0.0, 1.0, 1.0)
    assert none.high == pytest.approx(1 - every.low)


def test_the_bootstrap_agrees_with_welch_where_welch_is_right() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 2, 300), rng.normal(0, 1, 200)
    ours = statistics.mean_difference(a, b, seed=0)
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert ours.value == pytest.approx(a.mean() - b.mean())
    assert (ours.low, ours.high) == pytest.approx((welch.low, welch.high), abs=0.04)
    assert ours == statistics.mean_difference(a, b, seed=0)


def test_the_bootstrap_keeps_its_width_beyond_the_number_of_rows_it_resamples_singly() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 60_000), rng.normal(0, 1, 60_000)
    ours = statistics.mean_difference(a, b, seed=0)
    expected = 2 * 1.96 * math.sqrt(2 / 60_000)
    assert ours.high - ours.low == pytest.approx(expected, rel=0.1)


def test_images_of_one_patient_count_as_one_when_groups_are_given() -> None:
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(20), 30)
    value = rng.normal(0, 1, 20)[patient] + rng.normal(0, 0.1, 600)
    other, others = rng.normal(0, 1, 20)[patient], patient
    single = statistics.mean_difference(value, other, seed=0)
    grouped = statistics.mean_difference(value, other, 0, (patient, others))
    assert grouped.high - grouped.low > 3 * (single.high - single.low)


def test_values_that_are_all_alike_are_not_certain_and_fewer_less_so() -> None:
    few, many = (statistics.mean_difference(np.ones(n), np.zeros(n), seed=0) for n in (5, 500))
    # Rule of three: of n alike, about 3.7 in n may differ (97.5 %), in each of the two samples.
    assert 1 - many.low == pytest.approx(math.sqrt(2) * 3.7 / 500, rel=0.05)
    assert few.low < 0.5 < many.low


def test_a_mean_difference_without_rows_is_unknown() -> None:
    nothing = statistics.mean_difference([], [1.0], seed=0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (-math.inf, math.inf)


def test_the_permutation_test_agrees_with_every_permutation() -> None:
    value = np.array([3.1, 0.2, 2.5, 1.9, 0.1, 4.0, 0.9, 1.2])
    member = np.array([1, 0, 1, 0, 0, 1, 0, 0], bool)
    expected = value.sum() * member.mean()
    observed = abs(value[member].sum() - expected)
    every = [abs(sum(c) - expected) >= observed - 1e-12 for c in itertools.combinations(value, 3)]
    p = statistics.permutation_test(value, member, seed=0)
    assert p == pytest.approx(np.mean(every), abs=0.02)


def test_the_permutation_test_is_level_and_sees_what_is_there() -> None:
    rng = np.random.default_rng(4)
    null = [
        statistics.permutation_test(rng.exponential(1, 40), rng.random(40) < 0.3, seed)
        for seed in range(200)
    ]
    assert 0.01 <= np.mean(np.array(null) < 0.05) <= 0.1
    value = rng.normal(0, 1, 200)
    value[:60] += 1
    assert statistics.permutation_test(value, np.arange(200) < 60, seed=0) < 0.002


def test_strata_keep_a_difference_between_them_out_of_the_permutation_test() -> None:
    rng = np.random.default_rng(5)
    stratum = np.repeat([0, 1], 200)
    member = rng.random(400) < np.where(stratum == 1, 0.8, 0.2)
    value = rng.normal(0, 1, 400) + 3 * stratum
    assert statistics.permutation_test(value, member, seed=0) < 0.01
    assert statistics.permutation_test(value, member, 0, stratum) > 0.05


def test_the_permutation_test_at_scale_agrees_with_sampling_and_is_quick() -> None:
    rng = np.random.default_rng(6)
    value, member = rng.exponential(1, 400_000), rng.random(400_000) < 0.1
    value[member] += 0.011
    start = time.perf_counter()
    p = statistics.permutation_test(value, member, seed=0)
    assert time.perf_counter() - start < 2
    assert p == pytest.approx(stats.ttest_ind(value[member], value[~member]).pvalue, rel=0.05)


@pytest.mark.parametrize("member", [[0, 0, 0], [1, 1, 1]])
def test_a_permutation_test_of_one_group_is_1(member: list[int]) -> None:
    assert statistics.permutation_test([1.0, 2.0, 3.0], member, seed=0) == 1.0


def test_the_auc_is_that_of_sklearn_and_its_interval_that_of_resampling() -> None:
    rng = np.random.default_rng(7)
    label = rng.random(300) < 0.3
    score = np.round(rng.normal(0, 1, 300) + 1.2 * label, 1)  # with ties
    ours = statistics.auc(score, label)
    assert ours.value == pytest.approx(roc_auc_score(label, score))
    rows = rng.integers(0, 300, (700, 300))
    low, high = np.quantile([roc_auc_score(label[r], score[r]) for r in rows], [0.025, 0.975])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.015)
    assert (ours.p_value or 0) < 1e-6


def test_a_perfect_auc_has_an_interval_that_few_images_leave_wide() -> None:
    few = statistics.auc([1, 2, 3, 4], [0, 0, 1, 1])
    many = statistics.auc(np.arange(400), np.arange(400) >= 200)
    assert few.value == many.value == 1
    assert few.high == many.high == 1
    assert few.low < 0.2 < 0.97 < many.low
    assert statistics.auc([4, 3, 2, 1], [0, 0, 1, 1]).low == 0


def test_an_auc_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="0 positives and 2 negatives"):
        statistics.auc([1, 2], [0, 0])


def test_images_of_one_patient_widen_the_interval_and_the_p_value() -> None:
    values = np.repeat(np.random.default_rng(3).normal(0.6, 1, 8), 20)
    patients = np.repeat(np.arange(8).astype(str).astype(np.object_), 20)
    alone, grouped = statistics.paired_mean(values, 0), statistics.paired_mean(values, 0, patients)
    assert grouped.value == pytest.approx(alone.value)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert grouped.p_value > 5 * alone.p_value


def test_a_paired_share_stays_open_where_few_or_none_differ() -> None:
    none, one = np.zeros(36), np.eye(1, 36)[0]
    assert statistics.paired_share(none).high < 0.1 < statistics.paired_share(np.zeros(33)).high
    assert statistics.paired_share(none).low == -statistics.paired_share(none).high
    assert statistics.paired_share(one).value == pytest.approx(1 / 36)
    assert statistics.paired_share(one).high > 0.1  # a bootstrap ends at 3 of 36
    assert statistics.paired_share(-one).low == pytest.approx(-statistics.paired_share(one).high)
    grouped = statistics.paired_share(np.tile(one, 4), np.tile(np.arange(36), 4))
    assert grouped.high == pytest.approx(statistics.paired_share(one).high)


@pytest.mark.parametrize(
    ("gained", "lost"),
    [(0.01, 0.0), (0.025, 0.015), (0.1, 0.02), (0.1, 0.2), (0.3, 0.3), (0.0, 0.005)],
)
@pytest.mark.parametrize("coverage", [0.95, 0.97, 0.98])
def test_the_interval_of_a_paired_share_holds_the_truth(
    gained: float, lost: float, coverage: float
) -> None:
    """Exactly: the probability of each count of 80 that gained and lost, where it holds it."""
    n, held = 80, 0.0
    for up in range(n + 1):
        for down in range(n + 1 - up):
            p = float(
                stats.multinomial.pmf(
                    (up, down, n - up - down), n, (gained, lost, 1 - gained - lost)
                )
            )
            if p > 1e-7:
                values = np.repeat([1, -1, 0], [up, down, n - up - down])
                found = statistics.paired_share(values, coverage=coverage)
                held += p * (
                    found.low <= gained - lost + 1e-12 and gained - lost <= found.high + 1e-12
                )
    assert held >= coverage - 0.002


def test_what_few_lost_does_not_exclude_that_some_gain() -> None:
    """A bootstrap would: of one that lost it draws none, one or more, and never one that gained."""
    one = -np.eye(1, 80)[0]
    assert statistics.paired_mean(one, 0).high == 0
    assert statistics.paired_share(one).high > 0.02


def test_images_of_a_group_count_as_one_whatever_its_size() -> None:
    groups = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 12])
    values = np.where(groups == 7, 1, 0)
    found = statistics.paired_share(values, groups)
    assert found.value == pytest.approx(0.3) == pytest.approx(values.mean())
    alone = statistics.paired_share(values)
    assert found.low < alone.low and found.high > alone.high
    assert statistics.paired_share(values, np.arange(40)) == alone


def test_a_difference_of_shares_is_that_of_newcombe() -> None:
    """His example of two samples, 56 of 70 and 48 of 80, table II of 1998: .0524 to .3339."""
    first, second = np.arange(70) < 56, np.arange(80) < 48
    found = statistics.difference(*map(statistics.share_of, (first, second)))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    never = statistics.difference(*map(statistics.share_of, (np.ones(20), np.ones(400))))
    assert never.low < -0.1 < 0 < never.high < 0.02


def test_no_interval_is_sought_where_the_p_value_is_too_large_to_matter() -> None:
    table = [[12, 9], [10, 11]]
    whole, spared = statistics.odds_ratio(table), statistics.odds_ratio(table, at_most=0.05)
    assert whole.p_value == spared.p_value > 0.05
    assert (spared.value, spared.low, spared.high) == (whole.value, 0, math.inf)
    assert math.isfinite(whole.high)
    clear = [[30, 2], [3, 40]]
    assert statistics.odds_ratio(clear, at_most=0.05) == statistics.odds_ratio(clear)


def test_signs_of_one_size_are_flipped_exactly() -> None:
    values = np.repeat([1, -1, 0], [12, 3, 60])
    exact = stats.binomtest(3, 15).pvalue
    assert statistics.paired_share(values).p_value == pytest.approx(exact, abs=1e-12)
    assert statistics.paired_mean(values, 0).p_value == pytest.approx(exact, abs=1e-12)
    assert statistics.paired_mean(0.3 * values, 5).p_value == pytest.approx(exact, abs=1e-12)
