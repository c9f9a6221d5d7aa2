"""Corrections against their definitions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from melaudit.statistics import correction
from melaudit.statistics.correction import UncorrectedError, bonferroni, clear, settle, tests_in
from melaudit.statistics.estimates import Estimate, Tested, odds_ratio


@dataclass(frozen=True)
class Deep:
    one: Tested
    more: tuple[Tested | None, ...]
    named: dict[str, Tested]
    plain: Estimate


def tested(p: float) -> Tested:
    return Tested(1.0, 0.5, 2.0, p)


def test_q_values_are_those_of_the_definition() -> None:
    p = [0.01, 0.04, 0.03, 0.2]
    for x, y in zip(p, correction.false_discovery(p), strict=True):
        steps = [v * 4 / r for r, v in enumerate(sorted(p), 1) if v >= x]
        assert y == pytest.approx(min(steps))
    assert len(correction.false_discovery([])) == 0


def test_a_test_has_no_outcome_before_it_is_corrected() -> None:
    with pytest.raises(UncorrectedError, match="settle"):
        clear(tested(1e-9))


def test_settling_reaches_every_test_wherever_it_stands() -> None:
    deep = Deep(tested(0.01), (tested(0.02), None), {"a": tested(0.9)}, Estimate(1, 0, 2))
    (first, alone) = settle([deep, tested(0.03)])
    assert isinstance(first, Deep)
    assert isinstance(alone, Tested)
    got = [t.q_value for t in (*tests_in(first), alone)]
    assert got == pytest.approx(correction.false_discovery([0.01, 0.02, 0.9, 0.03]))
    assert first.plain is deep.plain
    assert first.more[1] is None


def test_one_object_in_two_places_is_one_test_and_two_equal_tests_are_two() -> None:
    shared = tested(0.04)
    assert settle([(shared, shared)])[0][0].q_value == pytest.approx(0.04)
    two = settle([odds_ratio([[9, 1], [4, 6]]), odds_ratio([[9, 1], [4, 6]]), tested(1.0)])
    assert two[0].q_value == pytest.approx(1.5 * two[0].p_value)


def test_the_best_of_several_counts_them_all() -> None:
    assert bonferroni(tested(0.01), 4).p_value == pytest.approx(0.04)
    assert bonferroni(tested(0.4), 4).p_value == 1.0


@pytest.mark.parametrize("p", [math.nan, -0.1, 1.1])
def test_a_p_value_that_is_none_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        tested(p)
