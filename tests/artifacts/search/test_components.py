"""Connected components: the same by short numbers as by long ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from melaudit.artifacts.search import components as module
from melaudit.artifacts.search.components import components


@pytest.mark.parametrize("connectivity", [4, 8])
def test_short_numbers_find_what_long_ones_do(connectivity: int) -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        mask = rng.random((61, 90)) < share
        found = components(mask, connectivity)
        number, label, stats, middle = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
        )
        assert found.label.dtype == np.uint16 and found.number == number
        assert np.array_equal(found.label, label) and np.array_equal(found.stats, stats)
        assert np.array_equal(found.middle, middle, equal_nan=True)


@pytest.mark.parametrize(("connectivity", "step"), [(8, 2), (4, 1)])
def test_a_mask_with_more_components_than_short_numbers_has_long_ones(
    connectivity: int, step: int
) -> None:
    side = 520 if connectivity == 8 else 364
    mask = np.zeros((side, side), np.bool_)
    mask[::2, ::2] = True
    if step == 1:  # a chessboard: no two squares share a side
        mask[1::2, 1::2] = True
    found = components(mask, connectivity)
    assert found.number - 1 == mask.sum() > module.MAX_SHORT
    assert found.label.dtype == np.int32 and found.label.max() == mask.sum()
