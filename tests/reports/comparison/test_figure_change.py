"""The interval of a change, against simulation and a textbook formula."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from melaudit.findings import Evidence, Rung
from melaudit.reports.comparison.figure_change import accuracy_change, difference, figure_change
from melaudit.reports.interface import Record


def evidence(name: str, value: float, low: float, high: float) -> Evidence:
    return Evidence(Rung.DEPENDENCE, name, value, low, high, 0.01, 0.02, 100, "none", True, "")


def test_symmetric_intervals_give_the_root_of_the_summed_squares() -> None:
    change, low, high = difference((2.0, 1.0, 3.0), (5.0, 3.0, 7.0))
    assert change == 3.0
    assert (change - low, high - change) == pytest.approx((math.sqrt(5), math.sqrt(5)))


def test_two_proportions_give_the_hybrid_score_interval() -> None:
    """Newcombe (1998), method 10, written out from Wilson's formula."""

    def wilson(hits: int, n: int) -> tuple[float, float, float]:
        z, p = float(norm.ppf(0.975)), hits / n
        centre, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
        return p, (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)

    # His worked example (a): 56 of 70 against 48 of 80 is 0.2 (0.0524 to 0.3339).
    change = difference(wilson(48, 80), wilson(56, 70))
    assert change == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_the_interval_holds_the_true_change_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 0.2, 4000), rng.normal(1.5, 0.4, 4000)
    held = 0
    for a, b in zip(first, second, strict=True):
        _, low, high = difference(
            (a, a - 1.96 * 0.2, a + 1.96 * 0.2), (b, b - 1.96 * 0.4, b + 1.96 * 0.4)
        )
        held += low <= 0.5 <= high
    assert held / 4000 == pytest.approx(0.95, abs=0.012)


def test_ratios_are_divided_and_their_interval_is_that_of_the_logarithms() -> None:
    change = figure_change(
        evidence("odds ratio", 4.0, 2.0, 8.0), evidence("odds ratio", 16.0, 8.0, 32.0)
    )
    assert change is not None and change.ratio
    spread = math.exp(math.hypot(math.log(2), math.log(2)))
    assert (change.change, change.low, change.high) == pytest.approx((4, 4 / spread, 4 * spread))
    assert change.clear and change.worse


def test_an_open_end_leaves_the_change_open_on_that_side() -> None:
    change = figure_change(
        evidence("odds ratio", 4.0, 2.0, 8.0), evidence("odds ratio", 16.0, 8.0, math.nan)
    )
    assert change is not None
    assert math.isinf(change.high) and change.low > 1


def test_a_figure_that_is_not_known_has_no_change() -> None:
    known = evidence("odds ratio", 4.0, 2.0, 8.0)
    for value in (math.nan, math.inf, 0.0):
        assert figure_change(known, replace(known, estimate=value)) is None


def test_harm_that_grows_downwards_is_worse() -> None:
    change = figure_change(
        evidence("specificity lost", -0.1, -0.15, -0.05),
        evidence("specificity lost", -0.9, -0.95, -0.8),
    )
    assert change is not None and change.clear and change.worse


def test_accuracy_needs_labels_on_both_sides(records: dict[str, Record]) -> None:
    ring, unlabelled = records["ring"].findings, records["unlabelled"].findings
    assert accuracy_change(ring, unlabelled) is None
    same = accuracy_change(ring, ring)
    assert same is not None and same.change == 0 and not same.clear
