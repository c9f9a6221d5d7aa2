"""Ranks within strata, against other ways to count them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from melaudit.statistics.estimates import auc
from melaudit.statistics.ranks import minimum_detectable_auc, stratified_auc


def test_one_stratum_is_the_plain_area_and_test() -> None:
    rng = np.random.default_rng(0)
    score = np.round(rng.normal(size=120), 1)  # with ties
    member = rng.random(120) < 0.4
    one = stratified_auc(score, member, np.zeros(120))
    plain = auc(score, member)
    p = stats.mannwhitneyu(
        score[member], score[~member], method="asymptotic", use_continuity=False
    ).pvalue
    assert one is not None
    assert one.value == pytest.approx(plain.value)
    assert one.p_value == pytest.approx(float(p))
    assert (one.low, one.high) == pytest.approx((plain.low, plain.high), abs=0.02)


def test_pairs_are_counted_within_strata_only() -> None:
    rng = np.random.default_rng(1)
    stratum = rng.integers(0, 3, 60)
    member = rng.random(60) < 0.5
    score = rng.normal(size=60) + 5 * stratum
    wins = pairs = 0.0
    for i, j in itertools.product(range(60), repeat=2):
        if member[i] and not member[j] and stratum[i] == stratum[j]:
            pairs += 1
            wins += float(score[i] > score[j])
    found = stratified_auc(score, member, stratum)
    assert found is not None
    assert found.value == pytest.approx(wins / pairs)


def test_what_the_strata_explain_is_no_difference() -> None:
    rng = np.random.default_rng(2)
    stratum = rng.integers(0, 2, 400)
    member = rng.random(400) < np.where(stratum, 0.8, 0.2)
    score = rng.normal(size=400) + 3 * stratum
    assert auc(score, member).low > 0.6
    found = stratified_auc(score, member, stratum)
    assert found is not None and found.p_value is not None
    assert found.low < 0.5 < found.high
    assert found.p_value > 0.05


def test_the_p_value_is_that_of_shuffling_within_strata() -> None:
    rng = np.random.default_rng(3)
    stratum = np.repeat([0, 1], [30, 50])
    member = rng.random(80) < 0.5
    score = rng.normal(size=80) + 0.45 * member
    found = stratified_auc(score, member, stratum)
    assert found is not None and found.p_value is not None

    rank = np.concatenate([stats.rankdata(score[stratum == s]) for s in (0, 1)])
    usual = sum(member[stratum == s].sum() * rank[stratum == s].mean() for s in (0, 1))

    drawn = []
    for _ in range(4000):
        shuffled = member.copy()
        for s in (0, 1):
            shuffled[stratum == s] = rng.permutation(member[stratum == s])
        drawn.append(abs(rank[shuffled].sum() - usual))
    assert found.p_value == pytest.approx(
        np.mean(np.array(drawn) >= abs(rank[member].sum() - usual)), abs=0.02
    )


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = float(stats.norm.cdf(0.8 / np.sqrt(2)))
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        stratum = np.repeat([0, 1], 60)
        member = rng.random(120) < np.where(stratum, 0.3, 0.6)
        score = rng.normal(size=120) + 0.8 * member + 2 * stratum
        found = stratified_auc(score, member, stratum)
        assert found is not None
        covered += found.low <= truth <= found.high
    assert 180 <= covered <= 198


def test_strata_of_one_kind_tell_nothing() -> None:
    assert stratified_auc([1.0, 2.0, 3.0], [True, True, False], [0, 0, 1]) is None
    assert stratified_auc([1.0, 1.0], [True, False], [0, 0]) is not None


def test_the_least_detectable_area_is_seen_in_four_of_five_tries() -> None:
    area = minimum_detectable_auc(60, 80)
    assert area is not None
    shift = float(np.sqrt(2) * stats.norm.ppf(area))
    rng = np.random.default_rng(4)
    seen = [
        auc(
            np.concatenate([rng.normal(shift, 1, 60), rng.normal(0, 1, 80)]),
            np.repeat([True, False], [60, 80]),
        ).low
        > 0.5
        for _ in range(500)
    ]
    assert np.mean(seen) == pytest.approx(0.8, abs=0.06)
    assert minimum_detectable_auc(3, 3) is None
