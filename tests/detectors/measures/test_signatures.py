"""Signatures: one photograph is recognised however it was stored, two are told apart."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy import ndimage

from benchmarks.pictures import radiograph
from melaudit.detectors.measures import signatures as module
from melaudit.detectors.measures.signatures import (
    SIDE,
    UNIT,
    least_likeness,
    matches,
    signature,
    signatures,
)

RGB = NDArray[np.uint8]


def photograph(seed: int, side: int = 160) -> RGB:
    """Return mottled skin with a lesion of its own place, size and mottle in the middle."""
    rng = np.random.default_rng(seed)
    mottle = ndimage.gaussian_filter(rng.normal(size=(side, side)), side / 30)
    y, x = np.mgrid[:side, :side] / side - 0.5
    off = rng.uniform(-0.08, 0.08, 2)
    lesion = np.hypot(y - off[0], x - off[1]) < rng.uniform(0.12, 0.3)
    grey = 190 + 12 * mottle / mottle.std() - lesion * (70 + 25 * mottle / mottle.std())
    values = grey[..., None] + np.array([20.0, -15.0, -25.0])
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def stored(image: RGB, way: str) -> RGB:
    picture = Image.fromarray(image)
    if way == "compressed":
        file = BytesIO()
        picture.save(file, "JPEG", quality=25)
        return np.asarray(Image.open(file))
    if way == "half":
        return np.asarray(picture.resize((image.shape[1] // 2, image.shape[0] // 2)))
    if way == "enlarged":
        return np.asarray(picture.resize((300, 300), Image.Resampling.BICUBIC))
    if way == "darker":
        return np.asarray(ImageEnhance.Brightness(picture).enhance(0.6))
    return np.asarray(picture.convert("L").convert("RGB"))


@pytest.mark.parametrize("way", ["compressed", "half", "enlarged", "darker", "grey"])
def test_one_photograph_is_recognised_however_it_was_stored(way: str) -> None:
    images = [photograph(seed) for seed in range(12)]
    first = signatures(images)
    second = signatures(stored(image, way) for image in images)
    found = matches(first, second)
    assert list(zip(found.first, found.second, strict=True)) == [(i, i) for i in range(12)]
    assert found.likeness.min() >= 0.95


def test_different_photographs_are_told_apart_even_with_a_ring() -> None:
    images = [photograph(seed) for seed in range(60)]
    y, x = np.mgrid[:160, :160] / 160 - 0.5
    ringed = [np.where((np.hypot(y, x) > 0.48)[..., None], 0, image) for image in images]
    assert not len(matches(signatures(images)))
    assert not len(matches(signatures(i.astype(np.uint8) for i in ringed)))


def test_radiographs_of_one_view_are_told_apart_and_a_copy_of_one_is_found() -> None:
    rng = np.random.default_rng(0)
    images = [radiograph(rng, bool(k % 2), 128) for k in range(40)]
    seen = signatures(images)
    assert not len(matches(seen))
    alike = np.triu(np.corrcoef(seen.astype(float)), 1)
    assert (alike > module.CORRELATION).sum() > 20  # taken for copies in a set of usual pictures
    copies = signatures(stored(image, way) for image in images[:5] for way in ("darker", "half"))
    found = matches(np.concatenate([seen, copies]))
    across = found.first[(found.first < 40) & (found.second >= 40)]
    assert across.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert (found.second >= 40).all()


def test_a_set_of_copies_alone_is_all_copies() -> None:
    found = matches(signatures([photograph(3)] * 30))
    assert len(found) == 30 * 29 / 2
    assert found.least <= module.SURE


def test_pairs_within_a_set_are_named_once_and_in_order() -> None:
    images = [photograph(seed) for seed in (3, 4, 3, 5, 3)]
    found = matches(signatures(images))
    assert list(zip(found.first, found.second, strict=True)) == [(0, 2), (0, 4), (2, 4)]
    assert found.likeness == pytest.approx(1.0, abs=1e-3)


def many_signatures(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return signatures that share a good part of their detail, as pictures of lesions do."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=SIDE * SIDE)
    values = 0.6 * shared + 0.8 * rng.normal(size=(n, SIDE * SIDE))
    return np.clip(128 + UNIT * values, 0, 255).astype(np.uint8)


def test_a_large_set_is_searched_by_keys_and_its_copies_are_found() -> None:
    n = 4400
    first = many_signatures(n)
    rng = np.random.default_rng(1)
    copies = rng.choice(n // 2, 100, replace=False)
    noise = 0.15 * UNIT * rng.normal(size=(100, SIDE * SIDE))
    first[n // 2 : n // 2 + 100] = np.clip(first[copies] + noise, 0, 255)
    found = matches(first)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    truth = {(int(c), n // 2 + i) for i, c in enumerate(copies)}
    assert pairs <= truth
    assert len(pairs) >= 97
    again = matches(first)
    assert np.array_equal(found.first, again.first)


def test_the_pairs_compared_grow_with_the_set_and_not_with_its_square() -> None:
    compared = []
    for n in (2000, 4000):
        compared.append(sum(len(a) for a, _ in module._of_one_key(many_signatures(n), 0)))
        assert compared[-1] < module.TABLES * module.NEIGHBOURS * n
    assert compared[1] < 3 * compared[0]


def test_a_thousand_alike_are_one_group_and_cost_no_square() -> None:
    whole = np.repeat(many_signatures(4), 1200, 0)
    compared = sum(len(a) for a, _ in module._of_one_key(whole, 0))
    assert compared <= module.TABLES * module.NEIGHBOURS * len(whole)
    assert len(matches(whole)) >= len(whole) - 4


def test_more_pairs_need_more_likeness() -> None:
    assert least_likeness(1) == least_likeness(1000) == module.CORRELATION
    assert least_likeness(400_000**2 // 2) == pytest.approx(0.972, abs=0.002)


def test_pictures_without_detail_match_nothing_and_odd_sizes_are_taken() -> None:
    blank = [np.full((50, 50, 3), level, np.uint8) for level in (0, 90, 90, 255)]
    assert not len(matches(signatures(blank)))
    assert signature(np.zeros((1, 1, 3), np.uint8)).shape == (SIDE * SIDE,)
    assert len(matches(signatures([]))) == 0


def test_real_pictures_have_two_pairs_of_copies(shared: Path) -> None:
    files = sorted((shared / "data" / "isic-rings").glob("*/*.jpg"))
    images = (np.asarray(Image.open(file).convert("RGB")) for file in files)
    found = matches(signatures(images))
    # Looked at: one file twice, and one lesion photographed twice within a moment.
    assert len(found) == 2
    assert found.likeness.max() > 0.999
