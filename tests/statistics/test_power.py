"""Detectable effects against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from melaudit.statistics import power


def test_the_detectable_odds_ratio_is_found_with_the_promised_power() -> None:
    n, exposed, cases = 400, 0.25, 0.4
    ratio = power.minimum_detectable_odds_ratio(n, exposed, cases)
    assert ratio is not None
    # Shares of cases with and without that give this ratio and these margins, by bisection.
    low, high = 0.0, 1.0
    for _ in range(60):
        without = (low + high) / 2
        among = ratio * without / (1 - without + ratio * without)
        low, high = (
            (without, high) if exposed * among + (1 - exposed) * without < cases else (low, without)
        )
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(600):
        a, c = rng.binomial(100, among), rng.binomial(300, without)
        p = stats.chi2_contingency([[a, 100 - a], [c, 300 - c]], correction=False).pvalue
        hits += int(p < 0.05)
    assert hits / 600 == pytest.approx(0.8, abs=0.06)


def test_the_detectable_odds_ratio_falls_with_n_and_can_be_out_of_reach() -> None:
    ratios = [power.minimum_detectable_odds_ratio(n, 0.1, 0.3) for n in (100, 1000, 10_000)]
    assert all(r is not None for r in ratios)
    assert ratios == sorted(ratios, key=lambda r: -(r or 0))
    assert power.minimum_detectable_odds_ratio(8, 0.13, 0.2) is None
    assert power.minimum_detectable_odds_ratio(100, 0.0, 0.5) is None


def test_the_detectable_difference_is_found_with_the_promised_power() -> None:
    least = power.minimum_detectable_difference(2.0, 40, 60)
    assert least is not None
    rng = np.random.default_rng(9)
    p = [stats.ttest_ind(rng.normal(least, 2, 40), rng.normal(0, 2, 60)).pvalue for _ in range(800)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.8, abs=0.05)
    assert power.minimum_detectable_difference(2.0, 0, 60) is None
