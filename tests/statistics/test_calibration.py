"""Calibration against brute force, scikit-learn and probabilities that are known to be right."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from melaudit.statistics.calibration import (
    MIN_PER_BIN,
    bins_of,
    calibration_error,
    reliability,
)
from melaudit.statistics.estimates import proportion


def simulate(
    n: int, seed: int, sharpened: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return stated probabilities and outcomes; stated log-odds are `sharpened` times the true."""
    rng = np.random.default_rng(seed)
    true = rng.beta(1, 1, n)
    odds = (true / (1 - true)) ** sharpened
    return odds / (1 + odds), rng.random(n) < true


def test_the_curve_agrees_with_scikit_learn() -> None:
    p, came = simulate(400, 0)
    observed, predicted = calibration_curve(came, p, n_bins=10, strategy="quantile")
    got = reliability(p, came, 0)
    assert [b.predicted for b in got] == pytest.approx(predicted, abs=1e-3)
    assert [b.observed.value for b in got] == pytest.approx(observed, abs=0.03)
    assert sum(b.n for b in got) == 400
    first = got[0]
    assert first.observed == proportion(round(first.observed.value * first.n), first.n)


def test_the_error_is_what_a_loop_over_the_bins_gives() -> None:
    p, came = simulate(90, 1, 2)
    member = bins_of(p)
    by_hand = 0.0
    for index in set(member.tolist()):
        rows = [k for k in range(90) if member[k] == index]
        gap = sum(p[k] for k in rows) / len(rows) - sum(came[k] for k in rows) / len(rows)
        by_hand += len(rows) / 90 * abs(gap)
    assert calibration_error(p, came, 0).error.value == pytest.approx(by_hand)


def test_bins_hold_enough_images_and_equal_probabilities_stay_together() -> None:
    p, _ = simulate(57, 2)
    assert np.bincount(bins_of(p)).min() >= MIN_PER_BIN
    same = np.r_[np.zeros(80), np.ones(20)]
    assert list(np.bincount(bins_of(same))) == [80, 20]
    assert list(np.bincount(bins_of(np.full(50, 0.3)))) == [50]


@pytest.mark.parametrize("seed", range(3))
def test_right_probabilities_are_not_told_from_right_ones(seed: int) -> None:
    p, came = simulate(150, seed)
    got = calibration_error(p, came, 0)
    assert got.error.value <= got.usual_high
    assert got.error.low == 0
    assert 0 < got.usual < got.usual_high


def test_what_is_usual_is_what_right_probabilities_give() -> None:
    p, came = simulate(150, 0)
    errors = []
    for seed in range(300):
        again = np.random.default_rng(seed).random(150) < p
        member = bins_of(p)
        gaps = np.bincount(member, p - again)
        errors.append(np.abs(gaps).sum() / 150)
    got = calibration_error(p, came, 0)
    assert got.usual == pytest.approx(np.mean(errors), rel=0.05)
    assert got.usual_high == pytest.approx(np.quantile(errors, 0.975), rel=0.1)


def test_overconfidence_is_told_from_chance() -> None:
    p, came = simulate(300, 4, 4)
    got = calibration_error(p, came, 0)
    assert got.error.value > got.usual_high
    assert 0 < got.error.low < got.error.value < got.error.high < 1


def test_images_of_one_patient_widen_the_intervals() -> None:
    p, came = simulate(60, 5, 3)
    many = np.repeat(p, 5), np.repeat(came, 5)
    patient = np.repeat(np.arange(60), 5)
    plain, grouped = calibration_error(*many, 0), calibration_error(*many, 0, patient)
    assert grouped.error.high > plain.error.high
    one, other = reliability(*many, 0)[4], reliability(*many, 0, patient)[4]
    assert other.observed.high - other.observed.low > one.observed.high - one.observed.low
