"""A class whose images are decided in two ways, and quick steadiness."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from melaudit.measurements import GRID, Array

Planted = Callable[[int, int, int], tuple[Array, Array, Array]]


def _planted(n: int, ringed: int, seed: int) -> tuple[Array, Array, Array]:
    """Return concepts (n, 40), maps (n, GRID, GRID) and which rows decide by the border.

    The first `ringed` rows have two channels of their own and look at the border.
    """
    rng = np.random.default_rng(seed)
    concepts = np.abs(rng.normal(0.02, 0.01, (n, 40)))
    concepts[:, 10:14] += rng.normal(0, 0.02, (n, 1))  # lesions differ in size
    concepts[:ringed, [3, 7]] += np.abs(rng.normal(0.25, 0.05, (ringed, 2)))
    y, x = np.mgrid[:GRID, :GRID] / (GRID - 1) - 0.5
    centre = np.exp(-((np.hypot(x, y) / 0.2) ** 2))
    border = (np.maximum(abs(x), abs(y)) > 0.42).astype(float)
    inside = np.arange(n) < ringed
    maps = np.where(inside[:, None, None], border, centre) * (1 + 0.3 * rng.random((n, GRID, GRID)))
    return concepts, maps / maps.sum((1, 2), keepdims=True), inside


@pytest.fixture
def planted() -> Planted:
    """Return what makes such a class: (n, ringed, seed) -> concepts, maps, who is ringed."""
    return _planted


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take fewer samples and nulls: what the tests plant needs no more."""
    stability = sys.modules["melaudit.audit.groups.stability"]
    monkeypatch.setattr(stability, "DRAWS", 8)
    monkeypatch.setattr(stability, "NULLS", 4)
