"""The detector of an artifact, with rings: what it measures on a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from melaudit.artifacts.interface import Found
from melaudit.artifacts.kinds.dark_ring import DarkRing as Ring
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.interface import Batch, BatchImages, Maps, locate
from melaudit.detectors.measures.regions import pooled, shares
from melaudit.measurements import GRID


def batch(images: list[NDArray[np.uint8]], relevance: NDArray[np.float32]) -> Batch:
    n, (height, width) = len(images), relevance.shape[1:]

    def project(mask: NDArray[Any], index: int) -> NDArray[np.float32]:
        assert mask.shape == images[index].shape[:2]
        moved = Image.fromarray(mask.astype(np.float32)).resize(
            (width, height), Image.Resampling.BOX
        )
        return np.asarray(moved)

    return Batch(
        tuple(map(str, range(n))),
        images=BatchImages(tuple(images), project=project),
        maps=Maps(relevance),
    )


def picture(height: int, width: int, ring: bool) -> NDArray[np.uint8]:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    image = np.full((height, width, 3), (220, 170, 150), np.uint8)
    if ring:
        image[np.hypot(y, x) > 0.9] = 2
    return ndimage.uniform_filter(image, (3, 3, 1))


def test_measuring_gives_one_row_per_image_in_the_models_geometry() -> None:
    images = [picture(120, 160, True), picture(90, 90, False), picture(300, 300, True)]
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    outside = np.hypot(y, x) > 0.9
    relevance = np.ones((3, 96, 96), np.float32)
    relevance[0, outside] = -3  # against, and three times as much as inside
    relevance[1] = 0
    columns = ArtifactDetector(Ring()).measure(batch(images, relevance))
    assert {len(v) for v in columns.values()} == {3}
    assert columns["present"].tolist() == [True, False, True]
    assert columns["rule"].tolist() == [True, False, True]
    assert columns["mask"].shape == (3, GRID, GRID)
    assert not columns["mask"][1].any()
    area = outside.mean()
    assert columns["area"][[0, 2]] == pytest.approx(area, abs=0.03)
    assert columns["area"][1] == 0
    expected = 3 * area / (3 * area + 1 - area)
    assert columns["share"][0] == pytest.approx(expected, abs=0.05)
    assert columns["signed"][0] == pytest.approx(-expected, abs=0.05)
    assert np.isnan(columns["share"][1])  # a map of nothing has no shares
    assert columns["share"][2] == pytest.approx(columns["area"][2], abs=1e-6)
    covered = columns["mask"][2] / 255
    assert covered.mean() == pytest.approx(columns["area"][2], abs=0.01)


@pytest.mark.parametrize("side", [7, 32, 50, 299])
def test_pooling_keeps_the_coverage_for_any_input_size(side: int) -> None:
    coverage = np.zeros((side, side), np.float32)
    coverage[: side // 2] = 1
    grid = pooled(coverage)
    assert grid.shape == (GRID, GRID)
    assert grid.mean() / 255 == pytest.approx(coverage.mean(), abs=0.08)
    assert grid[0, 0] == 255
    assert grid[-1, -1] == 0


def test_a_map_that_is_not_finite_has_no_shares_and_harms_no_other() -> None:
    broken = np.full((8, 8), np.nan, np.float32)
    assert np.isnan(shares(broken, np.ones((8, 8), np.float32)).absolute)
    assert shares(np.ones((8, 8), np.float32), np.ones((8, 8), np.float32)).absolute == 1


class Counting:
    """A finder that counts how often it looks."""

    id, looks = "counting", 0

    def find(self, image: NDArray[np.uint8]) -> Found:
        self.looks += 1
        return Found(0.5, True, np.ones(image.shape[:2], np.bool_))


def test_what_was_seen_already_is_not_looked_for_again_but_the_users_word_comes_first() -> None:
    finder: Any = Counting()
    image = np.zeros((2, 3, 3), np.uint8)
    nowhere, everywhere = np.zeros((2, 3), np.bool_), np.ones((2, 3), np.bool_)
    seen = Found(0.9, True, everywhere)
    absent, somewhere = Found(0.0, False, nowhere), Found(1.0, True, nowhere)
    assert locate(finder, image, None, seen) is seen
    assert locate(finder, image, absent, seen) is absent
    told = locate(finder, image, somewhere, seen)
    assert told.score == 1.0
    assert told.mask is everywhere
    assert finder.looks == 0
    assert locate(finder, image, None).score == 0.5
    assert locate(finder, image, somewhere).mask.all()
    assert finder.looks == 2
