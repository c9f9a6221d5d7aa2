"""Bootstrap intervals against what is known of them."""

import math
from itertools import islice

import numpy as np
import pytest
from scipy import stats

from melaudit.statistics.estimates import Vector, mean, proportion
from melaudit.statistics.resampling import bootstrap, clusters, share, weights_drawn


def test_each_row_is_its_own_cluster_unless_groups_are_known() -> None:
    assert list(clusters(3, 0, None)) == [0, 1, 2]
    assert list(clusters(4, 0, ["b", "a", "b", "a"])) == [1, 0, 1, 0]


def test_a_sample_draws_as_many_clusters_as_there_are_and_keeps_them_whole() -> None:
    member = clusters(6, 0, ["a", "a", "a", "b", "c", "c"])
    for weights in islice(weights_drawn(member, 0), 50):
        assert weights[0] == weights[1] == weights[2]
        assert weights[0] + weights[3] + weights[4] == 3


def test_the_bootstrap_of_a_mean_agrees_with_that_of_scipy() -> None:
    values = np.random.default_rng(3).exponential(size=60)

    got = bootstrap(lambda w: float((w * values).sum() / w.sum()), 60, 0)

    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=1).confidence_interval
    assert got.value == pytest.approx(values.mean())
    assert got.low == pytest.approx(theirs.low, abs=0.03)
    assert got.high == pytest.approx(theirs.high, abs=0.03)


def test_ten_images_of_each_patient_tell_no_more_than_one() -> None:
    one = np.random.default_rng(5).normal(size=30)
    ten, patient = np.repeat(one, 10), np.repeat(np.arange(30), 10)

    def average(values: Vector) -> float:
        return float(values @ ten / values.sum())

    together = bootstrap(average, 300, 0, patient)
    apart = bootstrap(average, 300, 0)
    assert together.high - together.low > 2 * (apart.high - apart.low)
    single = mean(one, 0)
    assert together.high - together.low == pytest.approx(single.high - single.low, rel=0.1)


def test_draws_without_a_value_do_not_count() -> None:
    got = bootstrap(lambda w: 1.0 if w[0] else math.nan, 3, 0)
    assert (got.value, got.low, got.high) == (1.0, 1.0, 1.0)
    assert math.isnan(bootstrap(lambda w: math.nan, 3, 0).low)


def test_a_share_is_wilsons_without_groups_and_wider_with_them() -> None:
    rows = np.array([True] * 12 + [False] * 8)
    assert share(rows, 0) == share(rows, 0, np.arange(20)) == proportion(12, 20)
    by_four = share(rows, 0, np.arange(20) // 4)
    assert by_four.high - by_four.low > proportion(12, 20).high - proportion(12, 20).low


def test_a_share_of_all_is_not_certain() -> None:
    got = share(np.ones(20, bool), 0, np.arange(20) // 4)
    assert (got.value, got.low) == (1.0, proportion(5, 5).low)
    assert share(np.zeros(20, bool), 0, np.arange(20) // 4).high == proportion(0, 5).high
