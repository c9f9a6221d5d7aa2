"""Thumbnails: what is alike is called alike, and copies are found."""

import itertools

import numpy as np
import pytest

from melaudit.audit.measure import thumbnails
from melaudit.audit.measure.thumbnails import SIDE, duplicated, likeness, thumbnail
from melaudit.measurements import Array


def pictures(n: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, SIDE, SIDE, 3)).astype(np.uint8)


def test_likeness_is_the_mean_correlation_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    some = pictures(7, 0)
    some[3:, :4] = 0
    flat = some.reshape(7, -1).astype(float)
    pairs = [np.corrcoef(flat[i], flat[j])[0, 1] for i, j in itertools.combinations(range(7), 2)]
    assert likeness(some) == pytest.approx(np.mean(pairs), abs=1e-5)
    monkeypatch.setattr(thumbnails, "CHUNK", 3)
    assert likeness(some) == pytest.approx(np.mean(pairs), abs=1e-5)


def test_a_common_ring_makes_alike_but_no_duplicates() -> None:
    some = pictures(40, 1)
    plain = likeness(some)
    some[:, :3] = 0
    common = some.mean(0).astype(np.float32)
    assert likeness(some) > plain + 0.2
    assert duplicated(some, common) == 0


def test_copies_that_were_compressed_again_are_found() -> None:
    some = pictures(40, 2)
    some[1] = np.clip(
        some[0].astype(int) + np.random.default_rng(3).integers(-6, 7, some[0].shape), 0, 255
    )
    assert duplicated(some, some.mean(0).astype(np.float32)) == pytest.approx(2 / 40)


def test_even_pictures_and_single_ones_give_no_figure_out_of_nothing() -> None:
    even = np.full((3, SIDE, SIDE, 3), 7, np.uint8)
    assert likeness(even) == 0
    assert np.isnan(likeness(even[:1]))
    assert duplicated(even[:1], even[0].astype(np.float32)) == 0


def test_a_thumbnail_is_the_mean_of_its_blocks() -> None:
    image = pictures(1, 4)[0].repeat(3, 0).repeat(3, 1)
    np.testing.assert_array_equal(thumbnail(image), pictures(1, 4)[0])
