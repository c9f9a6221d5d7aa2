"""The places off the centre where a group of images is looked at more than others."""

from __future__ import annotations

import numpy as np

from melaudit.audit.discovery.parts import places_looked_at
from melaudit.measurements import GRID


def test_the_places_hold_half_of_what_is_more_off_the_centre() -> None:
    more = np.full((GRID, GRID), -1e-4)
    more[2:5, 2:6] = 0.02
    more[2, 2] = 0.05
    more[14:18, 14:18] = 1.0  # on the object
    there = places_looked_at(more)
    assert there is not None
    assert there[2, 2]
    assert not there[14:18, 14:18].any()
    assert there.sum() == 6  # .05 + 5 x .02 of .27
    assert there[2:5, 2:6].sum() == there.sum()


def test_what_is_all_round_or_nowhere_is_no_place() -> None:
    assert places_looked_at(np.full((GRID, GRID), 1e-4)) is None
    assert places_looked_at(np.full((GRID, GRID), -1e-4)) is None
    assert places_looked_at(np.zeros((GRID, GRID))) is None
