"""The ruler finder on scales drawn by the tests, on what resembles them, and on real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from melaudit.artifacts.kinds.ruler import Ruler
from tests.artifacts.drawn import DARK, FAIR, RGB, TAN, ranked, reporting_half, skin_with_lesion


def marked(picture: RGB, ticks: list[tuple[float, float, float, float]], wide: float = 1) -> RGB:
    """The picture with short black lines (x0, y0, x1, y1 in parts of its size)."""
    page = Image.fromarray(picture)
    pen = ImageDraw.Draw(page)
    for tick in ticks:
        pen.line([part * len(picture) for part in tick], fill=(12, 12, 14), width=round(wide))
    return np.asarray(page)


SCALE = [(0.05, 0.1 + 0.06 * k, 0.09 + 0.02 * (k % 5 == 0), 0.1 + 0.06 * k) for k in range(12)]


@pytest.mark.parametrize("colour", [FAIR, TAN, DARK], ids=["fair", "tan", "dark"])
@pytest.mark.parametrize("size", [180, 300, 600])
def test_a_scale_along_a_side_is_found_on_its_ticks(
    size: int, colour: tuple[int, int, int]
) -> None:
    picture = marked(skin_with_lesion(size, colour), SCALE, max(1, size / 180))
    found = Ruler().find(picture)
    assert found.present
    assert found.mask[:, : round(0.13 * size)].sum() == found.mask.sum() > 0


def test_a_scale_is_found_whichever_way_the_picture_is_turned() -> None:
    picture = marked(skin_with_lesion(240), SCALE)
    for turned in (np.rot90(picture), np.rot90(picture, 2), picture[:, ::-1], picture[::-1]):
        assert Ruler().find(np.ascontiguousarray(turned)).present


@pytest.mark.parametrize("size", [224, 448])
@pytest.mark.parametrize("turn", [0.0, 0.06, -0.06])
def test_ticks_on_a_base_line_are_found_and_the_line_with_them(turn: float, size: int) -> None:
    picture, wide = skin_with_lesion(size), size // 224
    line = (0.2, 0.85, 0.8, 0.85 + 0.6 * turn)
    ticks = []
    for k in range(16):
        x = 0.2 + 0.04 * k
        y = 0.85 + turn * (x - 0.2)
        ticks.append((x, y, x, y - (0.02 if k % 2 else 0.035)))
    found = Ruler().find(marked(picture, [line, *ticks], wide))
    assert found.present
    height = len(picture)
    on_line = [
        found.mask[round(height * (0.85 + turn * (x - 0.2))), round(height * x)]
        for x in np.linspace(0.25, 0.75, 20)
    ]
    assert np.mean(on_line) > 0.9
    assert not Ruler().find(marked(picture, [line], wide)).present


def test_a_row_of_dots_in_even_steps_is_found() -> None:
    dots = [(0.1 + 0.04 * k, 0.9, 0.1 + 0.04 * k, 0.908) for k in range(20)]
    assert Ruler().find(marked(skin_with_lesion(300), dots, 2)).present


def test_dashes_in_any_direction_are_no_ruler() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        dashes = []
        for _ in range(12):
            (x, y), turn = rng.uniform(0.05, 0.95, 2), rng.uniform(0, np.pi)
            dashes.append((x, y, x + 0.04 * np.cos(turn), y + 0.04 * np.sin(turn)))
        assert not Ruler().find(marked(skin_with_lesion(240), dashes)).present


def test_the_score_grows_with_the_number_of_ticks() -> None:
    scores = [Ruler().find(marked(skin_with_lesion(240), SCALE[:n])).score for n in (0, 2, 4, 8)]
    assert scores == sorted(scores)
    assert scores[0] < 0.5 < scores[-1]


def test_real_rulers_are_ranked_above_the_rest(shared: Path) -> None:
    images, truth = reporting_half(shared / "data" / "artifacts" / "isic2018", "ruler")
    area, alarms = ranked(Ruler(), images, truth)
    assert area > 0.80
    assert alarms < 0.15
