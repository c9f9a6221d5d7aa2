"""Coloured stickers: found, and told from lesions of colour."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.kinds.colour_patch import COLOURS, ColourPatch
from tests.artifacts.pictures import DARK, FAIR, RGB, TAN, lesion, skin

PATCH = ColourPatch()
BLUE, RED = COLOURS[0], COLOURS[4]


def _disc(image: RGB, x: int, y: int, radius: int, colour: tuple[int, int, int]) -> RGB:
    out = image.copy()
    cv2.circle(out, (x, y), radius, colour, -1, cv2.LINE_AA)
    return out


@pytest.mark.parametrize("colour", COLOURS, ids=["blue", "green", "orange", "yellow", "red"])
@pytest.mark.parametrize("tone", [FAIR, TAN], ids=["fair", "tan"])
@pytest.mark.parametrize("place", [(0, 40), (250, 190), (130, 0), (225, 35)], ids=str)
def test_a_sticker_is_found_where_it_is(
    place: tuple[int, int], tone: tuple[int, int, int], colour: tuple[int, int, int]
) -> None:
    plain = lesion(skin(200, 260, tone))
    image = _disc(plain, *place, 30, colour)
    found = PATCH.find(image)
    assert found.present
    drawn = (np.abs(image.astype(int) - plain) > 6).any(2)
    assert (found.mask & drawn).sum() > 0.75 * (found.mask | drawn).sum()


@pytest.mark.parametrize("colour", [(30, 210, 90), (40, 110, 220)], ids=["green", "blue"])
def test_a_lit_sticker_seen_from_an_angle_is_found(colour: tuple[int, int, int]) -> None:
    plain = lesion(skin(200, 260))
    y, x = np.mgrid[:200, :260].astype(np.float32)
    inside = ((x - 210) / 17) ** 2 + ((y - 150) / 24) ** 2 < 1
    light = 1 - 0.35 * np.hypot((x - 203) / 30, (y - 140) / 40)
    image = plain.copy()
    image[inside] = (np.array(colour) * light[inside][:, None]).astype(np.uint8)
    found = PATCH.find(image)
    assert found.present
    assert (found.mask & inside).sum() > 0.75 * (found.mask | inside).sum()
    thin = plain.copy()
    thin[((x - 210) / 9) ** 2 + ((y - 130) / 30) ** 2 < 1] = colour
    assert not PATCH.find(thin).present


INNOCENT = {
    "blue naevus in the middle": _disc(skin(200, 260), 130, 100, 34, (66, 84, 130)),
    "blood in the middle": _disc(skin(200, 260), 130, 100, 34, (170, 40, 50)),
    "faint redness at the edge": np.asarray(
        cv2.GaussianBlur(_disc(skin(200, 260), 20, 30, 40, (226, 120, 110)), (0, 0), 14), np.uint8
    ),
    "brown spot at the edge": _disc(skin(200, 260), 10, 40, 30, (140, 96, 74)),
    "black corner": _disc(skin(200, 260), 0, 0, 50, (4, 4, 6)),
    "white sticker": _disc(skin(200, 260), 250, 20, 40, (245, 245, 245)),
    "blue bar": np.concatenate([skin(200, 260), np.full((24, 260, 3), BLUE, np.uint8)], 0),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_is_no_sticker_is_not_taken_for_one(name: str) -> None:
    assert not PATCH.find(INNOCENT[name]).present


def test_a_sticker_beside_a_lesion_on_dark_skin_is_found() -> None:
    image = _disc(lesion(skin(200, 260, DARK)), 255, 100, 45, (70, 156, 96))
    assert PATCH.find(image).present


def test_look_alikes_have_the_place_and_area_but_not_the_colour_or_the_shape() -> None:
    picture = lesion(skin(200, 260))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        edited = PATCH.add(picture, rng)
        placebos = {p.id: p for p in PATCH.placebos(picture, edited, rng)}
        grey, square = placebos["grey"], placebos["square"]
        middle = cv2.erode(edited.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert np.ptp(grey.image[middle].astype(int), axis=1).max() <= 1
        changed = (square.image != picture).any(2)
        assert abs(changed.sum() - edited.mask.sum()) < 0.15 * edited.mask.sum()
        assert (changed & edited.mask).sum() > 0.6 * edited.mask.sum()
        assert (grey.look_alike, square.look_alike) == ("any disc", "any foreign colour")


def test_stickers_on_real_pictures_are_found_and_few_pictures_have_one(shared: Path) -> None:
    paths = sorted((shared / "data/isic-rings/benign").iterdir())[::20]
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    assert sum(PATCH.find(picture).present for picture in pictures) <= 1
    added = [PATCH.add(p, np.random.default_rng(k)) for k, p in enumerate(pictures)]
    found = [PATCH.find(edited.image) for edited in added]
    assert np.mean([f.present for f in found]) >= 0.85
    left = [PATCH.remove(e.image, f.mask).image for e, f in zip(added, found, strict=True)]
    assert np.mean([PATCH.find(image).present for image in left]) <= 0.05
