"""Places of the model's input, found again in the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from melaudit.audit.discovery.seeing import on_picture, places_of, share_in_centre
from melaudit.choices import Resize
from melaudit.images.preprocessing import resolve


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((120, 120), {}),
        ((90, 160), {}),
        ((90, 160), {"crop": 64}),
        ((160, 90), {"resize": Resize.LETTERBOX}),
    ],
)
def test_a_place_on_the_picture_is_the_place_it_came_from(
    shape: tuple[int, int], settings: dict[str, Any]
) -> None:
    preprocessing = resolve(None, image_size=64, **settings)
    there = np.zeros((8, 8), bool)
    there[2:4, 3:6] = True
    mask = on_picture(there, shape, preprocessing)
    assert mask.shape == shape
    expected = there.repeat(8, 0).repeat(8, 1)
    again = preprocessing.project(mask.astype(np.float32)) > 0.5
    assert (again == expected).mean() > 0.97


def test_what_a_crop_leaves_out_shows_nothing() -> None:
    mask = on_picture(np.ones((8, 8), bool), (90, 160), resolve(None, image_size=64, crop=64))
    assert mask[:, 80].all()
    assert not mask[:, :30].any()
    assert not mask[:, -30:].any()


def test_only_places_away_from_the_centre_count() -> None:
    words = np.zeros((1, 16, 16), np.uint8)
    words[0, 0, 0], words[0, 8, 8], words[0, 1, 1] = 3, 3, 5
    places = places_of(words, [3, 5])
    assert {(y, x) for _, y, x in np.argwhere(places)} == {(0, 0), (1, 1)}
    assert share_in_centre(words, [3, 5]) == pytest.approx(1 / 3)
