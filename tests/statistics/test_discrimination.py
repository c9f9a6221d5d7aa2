"""Curves and areas against scikit-learn and counting by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
)

from melaudit.statistics import discrimination
from melaudit.statistics.discrimination import (
    MAX_POINTS,
    area,
    average_precision,
    threshold_points,
)
from melaudit.statistics.resampling import bootstrap


def simulate(n: int, seed: int, ties: bool = True) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    score = rng.normal(size=n) + positive
    return (np.round(score, 1) if ties else score), positive


@pytest.mark.parametrize("seed", range(4))
def test_areas_agree_with_scikit_learn_also_with_ties(seed: int) -> None:
    score, positive = simulate(70, seed)
    groups = np.arange(70) // 2
    assert area(score, positive, 0).value == pytest.approx(roc_auc_score(positive, score))
    assert area(score, positive, 0, groups).value == pytest.approx(roc_auc_score(positive, score))
    got = average_precision(score, positive, 0)
    assert got.value == pytest.approx(average_precision_score(positive, score))
    assert got.low < got.value < got.high


def test_each_bootstrap_sample_is_what_scikit_learn_makes_of_the_weights() -> None:
    score, positive = simulate(40, 7)
    ranked = discrimination._Ranked(score, positive)
    for seed in range(20):
        w = np.random.default_rng(seed).multinomial(40, np.full(40, 1 / 40)).astype(float)
        assert ranked.area(w) == pytest.approx(roc_auc_score(positive, score, sample_weight=w))
        assert ranked.average_precision(w) == pytest.approx(
            average_precision_score(positive, score, sample_weight=w)
        )


def test_points_are_what_counting_gives_at_each_threshold() -> None:
    score, positive = simulate(30, 1)
    for p in threshold_points(score, positive):
        called = score >= p.threshold
        assert p.sensitivity == pytest.approx(called[positive].mean())
        assert p.false_positive_rate == pytest.approx(called[~positive].mean())
        assert p.precision == pytest.approx(positive[called].mean())


def test_points_lie_on_the_curve_of_scikit_learn() -> None:
    score, positive = simulate(50, 2)
    precision, recall, thresholds = precision_recall_curve(positive, score)
    theirs = dict(zip(thresholds, zip(precision, recall, strict=False), strict=False))
    points = threshold_points(score, positive)
    assert len(points) == len(thresholds)
    for p in points:
        assert (p.precision, p.sensitivity) == pytest.approx(theirs[p.threshold])


def test_of_many_points_the_ends_and_an_even_choice_are_kept() -> None:
    score, positive = simulate(3000, 3, ties=False)
    points = threshold_points(score, positive)
    assert len(points) == MAX_POINTS
    assert points[0].threshold == score.max()
    assert points[-1].threshold == score.min()
    assert points[-1].sensitivity == points[-1].false_positive_rate == 1.0


def test_a_class_without_images_has_no_curve() -> None:
    with pytest.raises(ValueError, match="3 positives and 0 negatives"):
        threshold_points([1, 2, 3], [True, True, True])


def test_images_of_one_patient_widen_the_interval_of_the_area() -> None:
    score, positive = simulate(30, 4)
    many = np.repeat(score, 8), np.repeat(positive, 8)
    plain = area(*many, 0)
    grouped = area(*many, 0, np.repeat(np.arange(30), 8))
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)


def test_the_interval_of_average_precision_holds_the_truth() -> None:
    score, positive = simulate(200_000, 0, ties=False)
    truth = average_precision_score(positive, score)
    held = []
    for seed in range(60):
        few, some = simulate(120, seed + 1, ties=False)
        ranked = discrimination._Ranked(few, some)
        weights = [
            np.random.default_rng(k).multinomial(120, np.full(120, 1 / 120)).astype(float)
            for k in range(200)
        ]
        low, high = np.quantile([ranked.average_precision(w) for w in weights], [0.025, 0.975])
        held.append(low <= truth <= high)
    assert np.mean(held) >= 0.85
    assert bootstrap(ranked.average_precision, 120, 0).low > 0
