"""Holes in skin filled with skin."""

from __future__ import annotations

import numpy as np
import pytest

from melaudit.artifacts.painting.inpainting import closed, continued
from melaudit.artifacts.painting.skin import mottle, skin_colour, smooth_noise
from tests.artifacts.pictures import DARK, FAIR, TAN, lesion, skin


@pytest.mark.parametrize("tone", [FAIR, TAN, DARK], ids=["fair", "tan", "dark"])
def test_the_colour_of_skin_is_read_past_a_lesion_and_what_is_to_be_left_out(
    tone: tuple[int, int, int],
) -> None:
    picture = lesion(skin(200, 260, tone))
    assert np.abs(skin_colour(picture) - tone).max() < 6
    covered = picture.copy()
    covered[:, 90:] = (0, 255, 0)
    away = np.zeros((200, 260), np.bool_)
    away[:, 90:] = True
    assert np.abs(skin_colour(covered, away) - tone).max() < 6


def test_two_bare_pixels_have_a_skin_colour_between_them() -> None:
    picture = np.array([[(200, 160, 140), (100, 80, 60), (0, 0, 0)]], np.uint8)
    assert np.allclose(skin_colour(picture, np.array([[False, False, True]])), (150, 120, 100))


def test_smooth_noise_has_the_size_and_the_spots_that_were_asked_for() -> None:
    noise = smooth_noise(300, 200, 12, np.random.default_rng(0))
    assert noise.shape == (300, 200)
    assert abs(float(noise.mean())) < 1e-3
    assert abs(float(noise.std()) - 1) < 0.01
    beside, apart = (float((noise[:, d:] * noise[:, :-d]).mean()) for d in (2, 36))
    assert beside > 0.9
    assert abs(apart) < 0.3


def test_the_mottle_is_as_strong_as_the_skins_own() -> None:
    still = np.zeros((200, 200), np.bool_)
    even = np.full((200, 200, 3), 150, np.uint8)
    rough = skin(200, 200)
    quiet, loud = (mottle(a, still, np.random.default_rng(0)).std() for a in (even, rough))
    assert quiet < 0.1
    assert 1 < loud < 8


def test_a_large_hole_is_filled_with_the_colour_of_its_rim_and_levels_off() -> None:
    picture = skin(200, 200, TAN)
    picture[:, :100] = skin(200, 200, FAIR)[:, :100]
    mask = np.zeros((200, 200), np.bool_)
    mask[:60] = True
    hidden = picture.copy()
    hidden[mask] = (0, 255, 0)
    filled = continued(hidden, mask, np.random.default_rng(0))
    assert (filled[~mask] == picture[~mask]).all()
    near = slice(50, 56)
    assert np.abs(filled[near, 20:70].mean((0, 1)) - FAIR).max() < 16
    assert np.abs(filled[near, 130:180].mean((0, 1)) - TAN).max() < 20
    assert filled[4:40].reshape(-1, 3).max(0)[1] < 215  # nothing of the green


def test_a_small_hole_is_closed_from_its_rim_and_nothing_else_changes() -> None:
    picture = lesion(skin(200, 260))
    mask = np.zeros((200, 260), np.bool_)
    mask[30:34, 20:90] = True
    hidden = picture.copy()
    hidden[mask] = (20, 20, 200)
    filled = closed(hidden, mask)
    assert (filled[~mask] == picture[~mask]).all()
    assert np.abs(filled[mask].astype(int) - picture[mask]).mean() < 8


def test_a_picture_without_a_hole_or_with_nothing_else_comes_back() -> None:
    picture = skin(40, 50)
    nowhere, everywhere = np.zeros((40, 50), np.bool_), np.ones((40, 50), np.bool_)
    assert (closed(picture, nowhere) == picture).all()
    assert (continued(picture, nowhere, np.random.default_rng(0)) == picture).all()
    filled = continued(picture, everywhere, np.random.default_rng(0))
    assert np.abs(filled.mean((0, 1)) - FAIR).max() < 8
