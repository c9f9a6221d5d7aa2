"""Masks that are seen anew are those that an array would hold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.audit.discovery.made import SeenMasks
from melaudit.measurements import GRID


@pytest.mark.parametrize("side", [8, 16, GRID])
def test_masks_that_are_seen_anew_are_those_of_an_array(side: int) -> None:
    rng = np.random.default_rng(side)
    present, there = rng.random(11) < 0.5, rng.random((11, side, side)) < 0.3
    asked: list[int] = []

    def places(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        asked.extend(rows.tolist())
        return there[rows]

    masks = SeenMasks(present, places)
    cell = np.ones((GRID // side, GRID // side), np.uint8)
    whole = np.stack([np.kron(p, cell) * 255 * one for p, one in zip(there, present, strict=True)])
    assert (len(masks), masks.shape, masks.ndim) == (11, whole.shape, 3)
    for key in (slice(2, 9), slice(20, 30), np.array([10, 0, 3, 3]), np.flatnonzero(~present)):
        assert masks[key].dtype == np.uint8
        np.testing.assert_array_equal(masks[key], whole[key])
    assert present[asked].all()
