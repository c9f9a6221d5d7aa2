"""The excess of relevance on an artifact, held against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from melaudit.detectors.measures.regions import Stratum, excess


def excess_by_loops(strata: list[Stratum]) -> tuple[float, float]:
    """Mean share on the own mask and in the same place elsewhere, one pair at a time."""
    own, elsewhere, n = 0.0, 0.0, 0
    for s in strata:
        for mask, mine in zip(s.masks, s.own, strict=True):
            own += float((mask * mine).sum())
            elsewhere += float(np.mean([(mask * other).sum() for other in s.others]))
            n += 1
    return own / n, elsewhere / n


def strata(rng: np.random.Generator, look: float) -> list[Stratum]:
    out = []
    for r, f in ((8, 30), (20, 15)):
        masks = (rng.random((r, 40)) < 0.2).astype(float)
        maps = rng.gamma(1, 1, (r + f, 40))
        maps[:r] *= 1 + look * masks
        maps /= maps.sum(1, keepdims=True)
        out.append(Stratum(masks, maps[:r], maps[r:]))
    return out


def test_the_excess_is_that_of_the_definition() -> None:
    parts = strata(np.random.default_rng(0), 1.0)
    result = excess(parts, seed=0)
    assert (result.own, result.elsewhere) == pytest.approx(excess_by_loops(parts))
    assert result.difference.value == pytest.approx(result.own - result.elsewhere)
    assert result.difference.low < result.difference.value < result.difference.high
    assert (result.n_own, result.n_others) == (28, 45)


def test_the_excess_keeps_its_level_and_has_power() -> None:
    rng = np.random.default_rng(1)
    null = [excess(strata(rng, 0.0), seed).difference.p_value or 0 for seed in range(100)]
    assert np.mean(np.array(null) < 0.05) <= 0.12
    assert (excess(strata(rng, 1.0), 0).difference.p_value or 1) < 0.01


def test_an_excess_without_a_null_is_refused() -> None:
    with pytest.raises(ValueError, match="with and without"):
        excess([], 0)
    with pytest.raises(ValueError, match="with and without"):
        excess([Stratum(np.ones((2, 4)), np.ones((2, 4)), np.ones((0, 4)))], 0)
