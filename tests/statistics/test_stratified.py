"""Differences within strata against formulas written otherwise, and known truths."""

import numpy as np
import pytest
from scipy import stats

from melaudit.statistics.stratified import (
    TwoSamples,
    mean_shift,
    rate_difference,
    two_samples_of,
)


def one(first: object, second: object) -> TwoSamples:
    return TwoSamples((np.asarray(first, float),), (np.asarray(second, float),))


def test_another_mix_of_classes_is_no_difference() -> None:
    # In both samples 80 % of class 1 and 10 % of class 0 show it; only the mix differs.
    few, many = [1.0] * 8 + [0.0] * 2, [1.0] * 1 + [0.0] * 9
    first = np.array(few * 8 + many * 2), np.array([1] * 80 + [0] * 20)
    second = np.array(few * 2 + many * 8), np.array([1] * 20 + [0] * 80)
    samples = two_samples_of(first, second, 10)
    assert samples is not None
    assert samples.means == pytest.approx((0.45, 0.45))
    got = rate_difference(samples, 0)
    assert got.value == pytest.approx(0)
    assert got.low < 0 < got.high
    assert got.p_value > 0.5
    assert first[0].mean() - second[0].mean() > 0.4


def test_the_interval_is_that_of_agresti_and_caffo() -> None:
    got = rate_difference(one([1] * 7 + [0] * 13, [1] * 2 + [0] * 28), 0)
    p, q = 8 / 22, 3 / 32
    half = stats.norm.ppf(0.975) * np.sqrt(p * (1 - p) / 22 + q * (1 - q) / 32)
    assert (got.low, got.high) == pytest.approx((p - q - half, p - q + half))
    assert got.value == pytest.approx(7 / 20 - 2 / 30)


def test_none_of_twenty_is_not_taken_for_never() -> None:
    got = rate_difference(one([0] * 20, [0] * 20), 0)
    assert (got.value, got.p_value) == (0.0, 1.0)
    assert got.low < -0.1 and got.high > 0.1


def test_the_p_value_agrees_with_the_permutations_of_scipy() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.5, 1, 25), rng.normal(0, 1, 30)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: x.mean() - y.mean(), n_resamples=9999, rng=np.random.default_rng(0)
    )
    assert mean_shift(one(a, b), 0).p_value == pytest.approx(theirs.pvalue, abs=0.02)


def test_the_interval_of_a_shift_is_nearly_that_of_welch() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(3, 1, 80), rng.normal(2, 2, 90)
    got = mean_shift(one(a, b), 0)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (got.low, got.high) == pytest.approx((theirs.low, theirs.high), abs=0.08)


def test_strata_count_alike_however_large() -> None:
    samples = TwoSamples((np.zeros(10), np.ones(1000)), (np.zeros(10), np.zeros(10)))
    assert mean_shift(samples, 0).value == pytest.approx(0.5)


def test_images_of_one_patient_count_once_and_what_is_no_number_not_at_all() -> None:
    values = np.array([1.0, 3.0, 5.0, np.nan])
    samples = two_samples_of(
        (values, np.zeros(4)), (np.ones(2), np.zeros(2)), 2, np.array(["a", "a", "b", "c"])
    )
    assert samples is not None
    assert samples.first[0].tolist() == [2.0, 5.0]


def test_a_stratum_too_small_in_one_sample_is_left_out() -> None:
    values, strata = np.arange(12.0), np.array([0] * 10 + [1] * 2)
    samples = two_samples_of((values, strata), (values, strata), 5)
    assert samples is not None and len(samples.first) == 1
    assert two_samples_of((values, strata), (values, strata + 5), 1) is None


def test_under_no_difference_p_is_small_as_rarely_as_it_says() -> None:
    p = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        halves = [(rng.random(30) < 0.3).astype(float) for _ in range(4)]
        samples = TwoSamples((halves[0], halves[1]), (halves[2], halves[3]))
        p.append(rate_difference(samples, seed).p_value)
    assert np.mean(np.array(p) < 0.05) < 0.1
