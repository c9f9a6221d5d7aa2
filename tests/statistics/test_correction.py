"""Corrections against their definitions."""

from __future__ import annotations

import math

import pytest

from melaudit.statistics import correction


def test_q_values_are_those_of_the_definition_and_untested_ones_stay_open() -> None:
    p = [0.01, None, 0.04, 0.03, float("nan"), 0.2]
    q = correction.benjamini_hochberg(p)
    tested = sorted(x for x in p if x is not None and not math.isnan(x))
    for x, y in zip(p, q, strict=True):
        if x is None or math.isnan(x):
            assert y is None
        else:
            ranks = range(1, len(tested) + 1)
            steps = [v * 4 / r for r, v in zip(ranks, tested, strict=True) if v >= x]
            assert y == pytest.approx(min(steps))
    assert correction.benjamini_hochberg([]) == []
