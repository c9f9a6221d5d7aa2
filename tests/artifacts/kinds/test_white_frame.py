"""White frames: found whole or as bars, and told from glare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from melaudit.artifacts.kinds.white_frame import WhiteFrame
from tests.artifacts.pictures import DARK, FAIR, RGB, lesion, skin

FRAME = WhiteFrame()


def _framed(image: RGB, top: int, side: int, level: int = 252) -> RGB:
    out = image.copy()
    height, width = out.shape[:2]
    out[:top] = out[height - top :] = level
    out[:, :side] = out[:, width - side :] = level
    return out


def _round(image: RGB) -> RGB:
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    out = image.copy()
    out[np.hypot(y - height / 2, x - width / 2) > 0.5 * min(height, width)] = 250
    return out


@pytest.mark.parametrize("tone", [FAIR, DARK], ids=["fair", "dark"])
@pytest.mark.parametrize("size", [(12, 12), (18, 0), (0, 18), (6, 6)], ids=str)
def test_a_white_border_is_found_where_it_is(
    size: tuple[int, int], tone: tuple[int, int, int]
) -> None:
    plain = lesion(skin(200, 260, tone))
    image = _framed(plain, *size)
    found = FRAME.find(image)
    assert found.present
    white = (image == 252).all(2)
    assert (found.mask & white).sum() > 0.85 * (found.mask | white).sum()


def test_a_round_window_in_white_is_a_frame() -> None:
    assert FRAME.find(_round(lesion(skin(240, 240)))).present


def _glare(image: RGB) -> RGB:
    """Light that fades from two sides into the picture."""
    x = np.linspace(-1, 1, image.shape[1])[None, :, None]
    return np.asarray((image + 230 * np.abs(x) ** 3).clip(0, 255), np.uint8)


def _overexposed(image: RGB) -> RGB:
    """White skin all round a ragged lesion."""
    rng = np.random.default_rng(0)
    ragged = ndimage.gaussian_filter(rng.normal(0, 1, image.shape[:2]), 12)
    y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
    inside = np.hypot(y, x) + 0.25 * ragged / ragged.std() < 0.62
    out = np.full_like(image, 250)
    out[inside] = (96, 62, 50)
    return out


INNOCENT = {
    "black frame": _framed(lesion(skin(200, 260)), 12, 12, 4),
    "grey frame": _framed(lesion(skin(200, 260)), 12, 12, 190),
    "glare": _glare(lesion(skin(200, 260))),
    "overexposed skin": _overexposed(skin(200, 260)),
    "white picture": np.full((200, 260, 3), 255, np.uint8),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_is_no_frame_is_not_taken_for_one(name: str) -> None:
    assert not FRAME.find(INNOCENT[name]).present


def test_the_frame_grows_inward_with_the_dose() -> None:
    picture = lesion(skin(200, 260))
    masks = [FRAME.add(picture, np.random.default_rng(5), d).mask for d in (0.4, 0.7, 1.0)]
    for inner, outer in zip(masks[1:], masks, strict=False):
        assert (inner | ~outer).all()
        assert inner.sum() > outer.sum()


def test_look_alikes_are_the_same_frame_in_other_tones() -> None:
    picture = lesion(skin(200, 260))
    rng = np.random.default_rng(2)
    edited = FRAME.add(picture, rng)
    placebos = {p.id: p for p in FRAME.placebos(picture, edited, rng)}
    assert (placebos["black"].image[edited.mask] == 5).all()
    assert (placebos["grey"].image[edited.mask] == 128).all()
    assert (placebos["grey"].image[~edited.mask] == picture[~edited.mask]).all()
    assert placebos["black"].look_alike == "any high-contrast frame"
    assert placebos["grey"].look_alike == "any frame"


def test_frames_on_real_pictures_are_found_and_taken_out_again(shared: Path) -> None:
    paths = sorted((shared / "data/isic-rings/benign").iterdir())[::20]
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    assert sum(FRAME.find(picture).present for picture in pictures) <= 1
    added = [FRAME.add(p, np.random.default_rng(k)) for k, p in enumerate(pictures)]
    found = [FRAME.find(edited.image) for edited in added]
    assert np.mean([f.present for f in found]) >= 0.85
    left = [FRAME.remove(e.image, f.mask).image for e, f in zip(added, found, strict=True)]
    assert np.mean([FRAME.find(image).present for image in left]) <= 0.05
