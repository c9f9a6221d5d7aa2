"""Rings painted, taken out and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.kinds.dark_ring import DarkRing, four_black_corners
from tests.artifacts.pictures import FAIR, lesion, root_mean_square, skin

RING = DarkRing()
SEEDS = range(12)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("size", [(64, 64), (300, 300), (450, 600)], ids=str)
def test_a_painted_ring_is_found_where_it_was_painted(size: tuple[int, int]) -> None:
    picture = lesion(skin(*size))
    for seed in SEEDS:
        edited = RING.add(picture, _rng(seed))
        found = RING.find(edited.image)
        assert found.present
        black = edited.mask & (edited.image[..., 0] < 0.4 * FAIR[0])
        assert (found.mask & black).sum() >= 0.85 * (found.mask | black).sum()


def test_painted_rings_are_as_large_dark_and_soft_as_real_ones_measured() -> None:
    picture = lesion(skin(300, 300))
    shares, levels, rims = [], [], []
    for seed in range(40):
        image = RING.add(picture, _rng(seed)).image
        red = image[..., 0].astype(float)
        shares.append(float((red < 0.5 * FAIR[0]).mean()))
        levels.append(float(red[0, 0]))
        middle = red[150]
        rims.append(int(((middle > 0.1 * FAIR[0]) & (middle < 0.9 * FAIR[0]))[:60].sum()))
    # Real ones: black over 5 to 68 % of the picture, half of them between 8 and 46 %; a black of
    # 1 to 19 levels; six to eighteen pixels of 300 from a tenth to nine tenths of the light.
    assert 0.05 < np.median(shares) < 0.46
    assert min(shares) > 0.02
    assert max(levels) < 22
    assert 1 < np.median(levels) < 12
    assert 2 <= np.median([rim for rim in rims if rim]) <= 18


def test_the_ring_comes_in_from_the_corners_with_the_dose() -> None:
    picture = lesion(skin(300, 300))
    depths = (0.2, 0.5, 0.8, 1.0)
    masks = [RING.add(picture, _rng(3), dose).mask for dose in depths]
    for inner, outer in zip(masks[1:], masks, strict=False):
        assert (inner | ~outer).all()  # what a shallow ring covers, a deeper one covers too
        assert inner.sum() > outer.sum()
    assert masks[0].sum() < 0.12 * masks[0].size
    assert not masks[-1][150, 150]


def test_what_is_put_in_place_of_a_ring_is_skin() -> None:
    plain = lesion(skin(300, 300))
    for seed in SEEDS:
        edited = RING.add(plain, _rng(seed))
        found = RING.find(edited.image)
        removed = RING.remove(edited.image, found.mask)
        assert RING.find(removed.image).score < 0.25
        assert np.abs(removed.image[found.mask].mean(0) - np.array(FAIR)).max() < 12
        assert 2 < removed.image[found.mask].astype(float).std(0).min() < 14  # mottled, not flat


def test_look_alikes_share_one_property_with_the_ring() -> None:
    picture = lesion(skin(300, 300))
    edited = RING.add(picture, _rng(1))
    placebos = {p.id: p for p in RING.placebos(picture, edited, _rng(2))}
    white, square = placebos["white"].image, placebos["square"].image
    deep = RING.find(edited.image).mask
    assert white[deep].mean() > 240
    assert (white[~edited.mask] == picture[~edited.mask]).all()
    black = square.max(2) < 10
    assert abs(black.mean() - edited.mask.mean()) < 0.03
    assert black[0].all()
    assert black[:, -1].all()
    assert placebos["white"].look_alike == "any high-contrast frame"
    assert placebos["square"].look_alike == "any dark frame"


def test_a_ring_of_skin_hides_the_place_and_shows_nothing() -> None:
    picture = lesion(skin(300, 300))
    edited = RING.add(picture, _rng(1))
    hidden = next(p for p in RING.placebos(picture, edited, _rng(2)) if p.id == RING.ground).image
    assert root_mean_square(picture, hidden, edited.mask) < 15
    assert (hidden[edited.mask] != picture[edited.mask]).mean() > 0.7


def test_rings_on_real_pictures_are_found_and_taken_out_again(shared: Path) -> None:
    found = left = seen = strict = 0
    for seed, path in enumerate(sorted((shared / "data/isic-rings/benign").iterdir())[::25]):
        picture = np.asarray(Image.open(path).convert("RGB"))
        if RING.find(picture).present:
            continue
        edited = RING.add(picture, _rng(seed))
        ring = RING.find(edited.image)
        seen += 1
        found += ring.present
        strict += four_black_corners(edited.image)
        left += RING.find(RING.remove(edited.image, ring.mask).image).present
    assert found >= 0.95 * seen
    assert strict >= 0.6 * seen
    assert left <= 0.1 * seen
