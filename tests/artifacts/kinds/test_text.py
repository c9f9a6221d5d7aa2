"""Lettering: found in both directions, and told from rulers and hairs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.kinds.text import Text
from tests.artifacts.pictures import FAIR, RGB, TAN, lesion, skin

TEXT = Text()


def _written(image: RGB, words: str, colour: tuple[int, int, int], scale: float = 0.5) -> RGB:
    out = image.copy()
    cv2.putText(out, words, (12, 24), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return out


@pytest.mark.parametrize("colour", [(255, 255, 255), (10, 10, 12)], ids=["white", "black"])
@pytest.mark.parametrize("words", ["12.03.2014", "PATIENT 0481", "IMG 22907"])
def test_letters_of_another_font_than_ours_are_found(
    words: str, colour: tuple[int, int, int]
) -> None:
    plain = lesion(skin(300, 300, TAN))
    image = _written(plain, words, colour)
    found = TEXT.find(image)
    assert found.present
    drawn = (image != plain).any(2)
    assert (found.mask & drawn).sum() > 0.6 * drawn.sum()
    assert not found.mask[60:].any()


def test_yellow_letters_on_fair_skin_are_found_though_they_are_as_light() -> None:
    plain = lesion(skin(300, 300, FAIR))
    tone = np.median(plain.reshape(-1, 3), 0)
    yellow = (245, 205, 60)
    weights = np.array([0.299, 0.587, 0.114])
    assert abs(float(weights @ (tone - yellow))) < 20, "hardly to be told in grey"
    assert TEXT.find(_written(plain, "12.03.2014", yellow)).present
    assert not TEXT.find(plain).present


def test_letters_that_run_upward_are_found_too() -> None:
    image = _written(lesion(skin(300, 300, TAN)), "2014-03-12", (255, 255, 255))
    assert TEXT.find(np.ascontiguousarray(np.rot90(image))).present


def _ruler(image: RGB) -> RGB:
    out = image.copy()
    for k in range(24):
        cv2.line(out, (10 + 12 * k, 270), (10 + 12 * k, 292 if k % 5 else 284), (20, 20, 22), 2)
    return out


def _hairs(image: RGB) -> RGB:
    out = image.copy()
    rng = np.random.default_rng(0)
    for _ in range(25):
        ends = rng.integers(0, 300, 4).tolist()
        cv2.line(out, ends[:2], ends[2:], (40, 28, 24), 2, cv2.LINE_AA)
    return out


def _bubbles(image: RGB) -> RGB:
    out = image.copy()
    rng = np.random.default_rng(1)
    for _ in range(12):
        x, y = rng.integers(20, 280, 2).tolist()
        cv2.circle(out, (x, y), int(rng.integers(4, 14)), (250, 246, 244), 1, cv2.LINE_AA)
    return out


@pytest.mark.parametrize("drawn", [_ruler, _hairs, _bubbles])
def test_what_is_no_lettering_is_not_taken_for_it(drawn: object) -> None:
    assert callable(drawn)
    assert not TEXT.find(drawn(lesion(skin(300, 300)))).present


def test_bars_cover_as_much_as_the_letters_in_their_place() -> None:
    picture = lesion(skin(300, 300))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        edited = TEXT.add(picture, rng)
        bars = next(p for p in TEXT.placebos(picture, edited, rng) if p.id == "bars")
        changed = (bars.image != picture).any(2)
        assert 0.85 < changed.sum() / edited.mask.sum() < 1.25
        ys, xs = np.nonzero(edited.mask)
        assert not np.delete(changed, np.arange(ys.min(), ys.max() + 1), 0).any()
        assert not np.delete(changed, np.arange(xs.min(), xs.max() + 1), 1).any()
        assert bars.look_alike == "any small marks"
        assert not TEXT.find(bars.image).present


@pytest.mark.parametrize("tone", [FAIR, (40, 34, 30)], ids=["fair", "black"])
def test_letters_can_be_read_on_any_ground(tone: tuple[int, int, int]) -> None:
    picture = skin(300, 300, tone)
    for seed in range(8):
        edited = TEXT.add(picture, np.random.default_rng(seed))
        assert np.abs(edited.image.astype(int) - picture).max() > 50


def test_letters_on_real_pictures_are_found_and_taken_out_again(shared: Path) -> None:
    paths = sorted((shared / "data/isic-rings/benign").iterdir())[::20]
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    pictures = [picture for picture in pictures if not TEXT.find(picture).present]
    assert len(pictures) >= 0.9 * len(paths)
    added = [TEXT.add(p, np.random.default_rng(k)) for k, p in enumerate(pictures)]
    found = [TEXT.find(edited.image) for edited in added]
    assert np.mean([f.present for f in found]) >= 0.85
    left = [TEXT.remove(e.image, f.mask).image for e, f in zip(added, found, strict=True)]
    assert np.mean([TEXT.find(image).present for image in left]) <= 0.1
