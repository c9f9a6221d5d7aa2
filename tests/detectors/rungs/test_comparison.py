"""The change under one edit less that under another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from melaudit.detectors.rungs.comparison import less
from melaudit.measurements import Measurements

Make = Callable[..., Measurements]
N = 80


@pytest.fixture
def table(measurements: Make) -> Measurements:
    return measurements({}, labels=np.zeros(N))


@pytest.mark.parametrize("same", [True, False], ids=["image by image", "of other images"])
def test_where_few_decisions_turn_the_interval_holds_the_truth(
    table: Measurements, same: bool
) -> None:
    """One decision of 100 turns under the edit, and one either way by chance under both."""
    rows = np.arange(N), np.arange(N) if same else np.arange(N // 2)
    rng, held = np.random.default_rng(0), []
    for _ in range(150):
        edit = rng.choice([1.0, -1.0, 0.0], N, p=[0.02, 0.01, 0.97])
        placebo = rng.choice([1.0, -1.0, 0.0], len(rows[1]), p=[0.01, 0.01, 0.98])
        edit = np.where((edit == -1) & (np.pad(placebo, (0, N - len(placebo))) == 1), 0, edit)
        found = less(table, (edit, placebo), rows, 0.95, 8, shares=True)
        held.append(found.low <= 0.01 <= found.high)
    assert stats.binomtest(sum(held), len(held), 0.95, "less").pvalue > 0.05


def test_one_that_turned_back_leaves_open_that_others_turn(table: Measurements) -> None:
    rows, one, none = np.arange(N), -np.eye(1, N)[0], np.zeros(N)
    found = less(table, (one, none), (rows, rows), 0.95, 8, shares=True)
    assert found.value == pytest.approx(-1 / N)
    assert found.low < -0.04 and found.high > 0.02
    assert less(table, (one, none), (rows, rows), 0.95, 8, shares=False).high == 0, "a bootstrap"
