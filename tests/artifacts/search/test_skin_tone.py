"""The angle is the published formula; each method reads the skin that it should."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import lab2rgb, rgb2lab

from melaudit.artifacts.search.skin_tone import (
    HAIR_WINDOW,
    PATCH,
    PATCHES,
    SIDE,
    closed_by_cross,
    patch_angle,
    region_angle,
    typology_angle,
)

Picture = NDArray[np.uint8]


def skin(lightness: float, yellow: float, side: int = 300, red: float = 14) -> Picture:
    """Return plain skin of that colour with a dark lesion in the middle."""
    lab = np.full((side, side, 3), (lightness, red, yellow), float)
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    lab[np.hypot(x, y) < side / 5] = (25, 10, 12)
    return np.asarray((lab2rgb(lab) * 255).round(), np.uint8)


def test_the_angle_is_that_of_chardon() -> None:
    assert typology_angle(50, 10) == 0
    assert typology_angle(60, 10) == pytest.approx(45)
    assert typology_angle(40, 10) == pytest.approx(-45)
    assert typology_angle(70, 20 / math.sqrt(3)) == pytest.approx(60)


@pytest.mark.parametrize("yellow", [0.0, 0.5, -4.0, math.nan])
def test_light_that_is_not_yellow_gives_no_angle(yellow: float) -> None:
    assert math.isnan(typology_angle(70, yellow))


@pytest.mark.parametrize(("lightness", "yellow"), [(72, 16), (55, 20), (38, 16)])
def test_both_methods_agree_on_even_skin(lightness: float, yellow: float) -> None:
    image = skin(lightness, yellow)
    # The oracle reads one pixel of the skin, by another library.
    there = rgb2lab(image[:1, :1])[0, 0]
    angle = math.degrees(math.atan2(there[0] - 50, there[2]))
    assert region_angle(image) == pytest.approx(angle, abs=1)
    assert patch_angle(image) == pytest.approx(angle, abs=1)


def test_darker_skin_has_a_smaller_angle() -> None:
    light, dark = skin(75, 15), skin(40, 15)
    assert region_angle(light) > region_angle(dark) + 60
    assert patch_angle(light) > patch_angle(dark) + 60


def test_the_black_round_the_field_of_view_is_no_dark_skin() -> None:
    image = skin(70, 16)
    y, x = np.mgrid[:300, :300] - 149.5
    ringed = image.copy()
    ringed[np.hypot(x, y) > 140] = 3
    assert region_angle(ringed) == pytest.approx(region_angle(image), abs=3)
    # Taking out hairs draws some of the black over the patches in the corners.
    assert patch_angle(ringed) == pytest.approx(patch_angle(image), abs=10)


def test_a_lesion_that_is_known_does_not_count() -> None:
    image = skin(70, 16)
    image[:150] = (60, 40, 35)
    lesion = np.zeros((300, 300), bool)
    lesion[:150] = True
    lesion[90:210, 90:210] = True
    assert region_angle(image, lesion) == pytest.approx(region_angle(skin(70, 16)), abs=2)
    assert region_angle(image) < region_angle(image, lesion) - 10


def test_the_lightest_of_the_eight_patches_counts() -> None:
    image = np.asarray(skin(45, 16, side=SIDE))
    y, x = PATCHES[2]
    image[y : y + PATCH, x : x + PATCH] = skin(75, 16)[0, 0]
    assert patch_angle(image) == pytest.approx(region_angle(skin(75, 16)), abs=3)


def test_hairs_are_taken_out_before_patches_are_read() -> None:
    image = skin(70, 16, side=SIDE)
    hairy = image.copy()
    hairy[::12] = (40, 25, 20)
    assert patch_angle(hairy) == pytest.approx(patch_angle(image), abs=2)


def test_grey_pictures_have_no_tone() -> None:
    grey = np.full((200, 260, 3), 128, np.uint8)
    assert math.isnan(region_angle(grey)) and math.isnan(patch_angle(grey))
    assert math.isnan(patch_angle(np.full((200, 260, 3), (90, 100, 180), np.uint8)))


def test_a_cross_closes_as_its_two_bars_do_together() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (60, 70), np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (HAIR_WINDOW, HAIR_WINDOW))
    assert np.array_equal(closed_by_cross(grey), cv2.morphologyEx(grey, cv2.MORPH_CLOSE, cross))
