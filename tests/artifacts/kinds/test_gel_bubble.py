"""The bubble finder on rims drawn by the tests, on what resembles them, and on real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from melaudit.artifacts.kinds.gel_bubble import GelBubble
from tests.artifacts.drawn import DARK, RGB, TAN, ranked, reporting_half, skin_with_lesion


def bubbled(picture: RGB, count: int, shade: tuple[int, int, int] = (252, 252, 252)) -> RGB:
    """The picture with small circles and dots."""
    page = Image.fromarray(picture)
    pen = ImageDraw.Draw(page)
    side = len(picture)
    for k in range(count):
        x, y, radius = (0.2 + 0.13 * k) * side, (0.8 - 0.05 * k) * side, 0.02 * side
        box = [x - radius, y - radius, x + radius, y + radius]
        pen.ellipse(box, outline=shade, width=max(1, side // 180))
    return np.asarray(page)


@pytest.mark.parametrize("colour", [TAN, DARK], ids=["tan", "dark"])
@pytest.mark.parametrize("size", [180, 300, 600])
def test_bubbles_are_found_where_they_are(size: int, colour: tuple[int, int, int]) -> None:
    picture = skin_with_lesion(size, colour)
    found = GelBubble().find(bubbled(picture, 4))
    drawn = (bubbled(picture, 4) != picture).any(2)
    assert found.present
    assert (found.mask & drawn).any()
    y, x = np.nonzero(found.mask)
    assert x.min() > 0.13 * size
    assert y.min() > 0.55 * size


def test_dark_rims_and_wide_light_spots_are_no_bubbles() -> None:
    picture = skin_with_lesion(240)
    assert not GelBubble().find(bubbled(picture, 4, (20, 14, 12))).present
    y, x = np.mgrid[:240, :240]
    light = 60 * np.exp(-((y - 190) ** 2 + (x - 60) ** 2) / 200)[..., None]
    spotted = (picture + light).clip(0, 255).astype(np.uint8)
    assert not GelBubble().find(spotted).present


def test_skin_between_two_hairs_is_no_bubble() -> None:
    picture = skin_with_lesion(240)
    picture[20:220, 30:32] = picture[20:220, 33:35] = (20, 14, 12)
    assert not GelBubble().find(picture).present


def test_the_score_grows_with_the_brightness_of_the_bubbles() -> None:
    picture = skin_with_lesion(240)
    scores = [
        GelBubble().find(bubbled(picture, 4, (level, level, level))).score
        for level in (176, 200, 225, 250)
    ]
    assert scores == sorted(scores)
    assert scores[0] < 0.5 < scores[-1]


def test_real_bubbles_are_ranked_above_the_rest(shared: Path) -> None:
    images, truth = reporting_half(shared / "data" / "artifacts" / "isic2018", "gel_bubble")
    area, alarms = ranked(GelBubble(), images, truth)
    assert area > 0.70
    assert alarms < 0.15
