"""The hair finder on lines drawn by the tests, on what resembles them, and on real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from melaudit.artifacts.kinds.hair import Hair
from tests.artifacts.drawn import DARK, FAIR, RGB, TAN, ranked, reporting_half, skin_with_lesion


def haired(picture: RGB, count: int, shade: tuple[int, int, int] = (20, 14, 12)) -> RGB:
    """The picture with arcs across it, one beside the other."""
    page = Image.fromarray(picture)
    pen = ImageDraw.Draw(page)
    side = len(picture)
    for k in range(count):
        left = (0.1 + 0.16 * k) * side
        pen.arc(
            [left, 0.1 * side, left + 1.4 * side, 1.5 * side],
            185,
            235,
            fill=shade,
            width=max(1, side // 180),
        )
    return np.asarray(page)


@pytest.mark.parametrize("colour", [FAIR, TAN, DARK], ids=["fair", "tan", "dark"])
@pytest.mark.parametrize("size", [180, 300, 600])
def test_hairs_are_found_where_they_are(size: int, colour: tuple[int, int, int]) -> None:
    picture = skin_with_lesion(size, colour)
    found = Hair().find(haired(picture, 4))
    drawn = (haired(picture, 4) != picture).any(2)
    assert found.present
    assert (found.mask & drawn).sum() > 0.6 * drawn.sum()
    assert found.mask.mean() < 0.08


def test_the_score_grows_with_the_number_of_hairs() -> None:
    scores = [Hair().find(haired(skin_with_lesion(240), n)).score for n in (0, 1, 2, 3)]
    assert scores == sorted(scores)
    assert scores[0] < 0.5 < scores[-1]


def test_light_lines_and_the_edge_of_a_shadow_are_no_hairs() -> None:
    picture = skin_with_lesion(240)
    assert not Hair().find(haired(picture, 2, (250, 245, 240))).present
    shadow = picture.copy()
    shadow[:, 150:] = (shadow[:, 150:] * 0.5).astype(np.uint8)
    assert not Hair().find(shadow).present


def test_a_network_of_lines_as_in_a_naevus_is_no_hair() -> None:
    picture = skin_with_lesion(240)
    y, x = np.mgrid[:240, :240]
    mesh = ((x + y) % 9 < 2) | ((x - y) % 9 < 2)
    within = mesh & (np.hypot(y - 120, x - 120) < 50)
    picture[within] = (picture[within] * 0.75).astype(np.uint8)
    assert not Hair().find(picture).present


def test_real_hairs_are_ranked_above_the_rest(shared: Path) -> None:
    images, truth = reporting_half(shared / "data" / "artifacts" / "isic2018", "hair")
    area, alarms = ranked(Hair(), images, truth)
    assert area > 0.79
    assert alarms < 0.15
