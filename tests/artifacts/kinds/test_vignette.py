"""Vignettes: found when they are smooth, left to the ring's finder when they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.artifacts.kinds.vignette import Vignette
from tests.artifacts.pictures import DARK, FAIR, RGB, TAN, lesion, skin

VIGNETTE = Vignette()


def _shaded(image: RGB, lost: float) -> RGB:
    """Cosine-like fall-off: light goes with the fourth power of the cosine of the angle."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    tangent = np.sqrt(1 / np.sqrt(1 - lost) - 1)  # so that a corner keeps 1 - lost
    light = (1 + (x**2 + y**2) / 2 * tangent**2) ** -2
    return np.asarray(image * light[..., None], np.uint8)


@pytest.mark.parametrize("tone", [FAIR, TAN, DARK], ids=["fair", "tan", "dark"])
@pytest.mark.parametrize("size", [(200, 200), (200, 300)], ids=str)
def test_a_smooth_fall_off_is_found_and_grows(
    size: tuple[int, int], tone: tuple[int, int, int]
) -> None:
    plain = lesion(skin(*size, tone))
    scores = [VIGNETTE.find(_shaded(plain, lost)).score for lost in (0.0, 0.2, 0.4, 0.6, 0.7)]
    assert scores == sorted(scores)
    found = VIGNETTE.find(_shaded(plain, 0.7))
    assert found.present
    assert found.mask[0, 0]
    assert found.mask[-1, -1]
    assert not found.mask[size[0] // 2, size[1] // 2]


@pytest.mark.parametrize("seed", range(8))
def test_a_hard_black_ring_is_no_vignette(seed: int) -> None:
    ring = DarkRing().add(lesion(skin(300, 300)), np.random.default_rng(seed)).image
    assert DarkRing().find(ring).present
    assert not VIGNETTE.find(ring).present


def _from_one_side(image: RGB) -> RGB:
    return np.asarray(image * np.linspace(1, 0.4, image.shape[1])[None, :, None], np.uint8)


def _light_corners(image: RGB) -> RGB:
    y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
    return np.asarray((image * (0.7 + 0.2 * (x**2 + y**2)[..., None])).clip(0, 255), np.uint8)


@pytest.mark.parametrize("drawn", [_from_one_side, _light_corners])
def test_other_uneven_light_is_no_vignette(drawn: object) -> None:
    assert callable(drawn)
    assert not VIGNETTE.find(drawn(lesion(skin(240, 240)))).present


def test_what_is_taken_out_comes_near_the_picture_as_it_was() -> None:
    plain = lesion(skin(240, 240))
    for seed in range(4):
        edited = VIGNETTE.add(plain, np.random.default_rng(seed))
        found = VIGNETTE.find(edited.image)
        removed = VIGNETTE.remove(edited.image, found.mask).image
        before, after = (np.abs(a.astype(int) - plain).mean() for a in (edited.image, removed))
        assert after < 0.5 * before


def test_look_alikes_are_another_change_of_the_light() -> None:
    picture = lesion(skin(240, 240, TAN))
    rng = np.random.default_rng(3)
    edited = VIGNETTE.add(picture, rng)
    placebos = {p.id: p for p in VIGNETTE.placebos(picture, edited, rng)}
    light = placebos["light"].image.astype(int)
    assert (light >= picture.astype(int) - 1).all()
    assert light[:20, :20].mean() > picture[:20, :20].mean() + 20
    side = placebos["side"].image
    everywhere = [float(((a.astype(int) - picture) ** 2).mean()) for a in (side, edited.image)]
    assert 0.6 < everywhere[0] / everywhere[1] < 1.4
    assert placebos["light"].look_alike == "any change of light towards the corners"
    assert placebos["side"].look_alike == "any shade"


def test_vignettes_on_real_pictures_are_found_and_taken_out_again(shared: Path) -> None:
    paths = sorted((shared / "data/isic-rings/benign").iterdir())[::20]
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    pictures = [picture for picture in pictures if not VIGNETTE.find(picture).present]
    assert len(pictures) >= 0.8 * len(paths)
    added = [VIGNETTE.add(p, np.random.default_rng(k)) for k, p in enumerate(pictures)]
    found = [VIGNETTE.find(edited.image) for edited in added]
    assert np.mean([f.present for f in found]) >= 0.75
    left = [VIGNETTE.remove(e.image, f.mask).image for e, f in zip(added, found, strict=True)]
    assert np.mean([VIGNETTE.find(image).present for image in left]) <= 0.1
