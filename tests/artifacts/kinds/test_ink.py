"""Ink: found on drawn and real pictures, told from what looks like it."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.kinds.ink import Ink
from tests.artifacts.pictures import DARK, FAIR, RGB, TAN, lesion, skin

INK = Ink()
VIOLET, BLUE = (112, 78, 176), (58, 104, 178)


def _line(image: RGB, colour: tuple[int, int, int], thick: int = 7) -> RGB:
    out = image.copy()
    cv2.line(out, (20, 30), (70, 24), colour, thick, cv2.LINE_AA)
    return out


@pytest.mark.parametrize("colour", [VIOLET, BLUE], ids=["violet", "blue"])
@pytest.mark.parametrize("tone", [FAIR, TAN], ids=["fair", "tan"])
def test_a_line_of_ink_is_found_where_it_is(
    colour: tuple[int, int, int], tone: tuple[int, int, int]
) -> None:
    plain = lesion(skin(200, 260, tone))
    image = _line(plain, colour)
    found = INK.find(image)
    assert found.present
    drawn = (image != plain).any(2)
    assert (found.mask & drawn).sum() > 0.7 * drawn.sum()
    assert not found.mask[60:].any()


def _brown(image: RGB) -> RGB:
    return _line(image, (110, 66, 44))


def _black(image: RGB) -> RGB:
    return _line(image, (24, 20, 22), 3)


def _red(image: RGB) -> RGB:
    return _line(image, (170, 50, 54))


def _white(image: RGB) -> RGB:
    return _line(image, (248, 248, 255))


def _veil(image: RGB) -> RGB:
    """A blue-grey spot within a brown lesion."""
    out = image.copy()
    cv2.circle(out, (125, 104), 42, (112, 78, 60), -1, cv2.LINE_AA)
    cv2.circle(out, (125, 104), 20, (92, 98, 120), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(out, (0, 0), 2.5).astype(np.uint8)


@pytest.mark.parametrize("drawn", [_brown, _black, _red, _white, _veil])
@pytest.mark.parametrize("tone", [FAIR, TAN, DARK], ids=["fair", "tan", "dark"])
def test_what_is_no_ink_is_not_taken_for_it(drawn: object, tone: tuple[int, int, int]) -> None:
    assert callable(drawn)
    assert not INK.find(drawn(lesion(skin(200, 260, tone)))).present


def test_look_alikes_are_as_dense_and_of_another_colour() -> None:
    picture = lesion(skin(200, 260))
    rng = np.random.default_rng(4)
    edited = INK.add(picture, rng)
    placebos = {p.id: p for p in INK.placebos(picture, edited, rng)}
    for name in ("grey", "brown"):
        image = placebos[name].image
        assert placebos[name].look_alike == "any strokes"
        assert not INK.find(image).present
        lost, aim = (
            float((picture[edited.mask].astype(int) - other[edited.mask]).mean())
            for other in (image, edited.image)
        )
        assert 0.7 < lost / aim < 1.3
    brown = placebos["brown"].image[edited.mask].astype(int).mean(0)
    assert brown[0] > brown[1] > brown[2]


def _labelled(shared: Path) -> tuple[list[float], list[bool]]:
    folder = shared / "data" / "artifacts" / "ham"
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    images = [np.asarray(Image.open(folder / row["image"]).convert("RGB")) for row in rows]
    return [INK.find(image).score for image in images], [
        row["artifact"] == "marking" for row in rows
    ]


def test_real_ink_is_ranked_above_rulers_and_bubbles(shared: Path) -> None:
    scores, inked = _labelled(shared)
    positive, negative = np.array(scores)[inked], np.array(scores)[~np.array(inked)]
    pairs = positive[:, None] - negative[None]
    assert (pairs > 0).mean() + (pairs == 0).mean() / 2 >= 0.85
    assert (negative >= INK.threshold).mean() <= 0.1


def test_ink_drawn_on_real_pictures_is_found_and_taken_out_again(shared: Path) -> None:
    found = left = seen = 0
    for seed, path in enumerate(sorted((shared / "data/isic-rings/benign").iterdir())[::25]):
        picture = np.asarray(Image.open(path).convert("RGB"))
        if INK.find(picture).present:
            continue
        marked = INK.find(INK.add(picture, np.random.default_rng(seed)).image)
        image = INK.add(picture, np.random.default_rng(seed)).image
        seen += 1
        found += marked.present
        left += INK.find(INK.remove(image, marked.mask).image).present
    assert found >= 0.75 * seen
    assert left <= 0.1 * seen
