"""Finders look where images are decoded, and what they saw is what they would see here."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts import Found, artifacts
from melaudit.artifacts.interface import RGB
from melaudit.images.finder_results import FinderResults, find_all, pack, picklable, unpack
from melaudit.images.image_stream import ImageStream
from melaudit.images.preprocessing import Preprocessing

PREPROCESSING = Preprocessing((32, 32), (0.5,) * 3, (0.25,) * 3, "bilinear", None, "a test")
RING, FRAME = (
    next(a for a in artifacts() if a.id == identity) for identity in ("dark_ring", "white_frame")
)


def picture(seed: int) -> RGB:
    """A ringed picture for an even seed, a plain one for an odd one."""
    noise = np.random.default_rng(seed).integers(120, 200, (96, 128, 3), dtype=np.uint8)
    return noise if seed % 2 else RING.add(noise, np.random.default_rng(seed)).image


def same(a: Found, b: Found) -> bool:
    return (a.score, a.present) == (b.score, b.present) and np.array_equal(a.mask, b.mask)


@pytest.mark.parametrize("shape", [(7, 9), (1, 1), (64, 64)])
def test_a_mask_survives_the_journey(shape: tuple[int, int]) -> None:
    some = np.random.default_rng(0).random(shape) < 0.5
    for mask in (some, np.zeros(shape, bool), np.ones(shape, bool)):
        found = Found(0.25, True, mask)
        arrived = unpack(pickle.loads(pickle.dumps(pack(found))))
        assert same(arrived, found)
        assert arrived.mask.dtype == np.bool_


def test_a_finder_that_fails_is_left_to_whoever_asks() -> None:
    class Broken:
        id = "broken"

        def find(self, image: RGB) -> Found:
            raise OSError("no")

    class Strange(Broken):
        id = "strange"

        def find(self, image: RGB) -> Found:
            return Found(1.0, True, np.zeros((2, 2, 3), bool))

    seen = FinderResults(find_all([Broken(), RING, Strange()], [picture(0)]))  # type: ignore[list-item]
    assert list(seen) == ["dark_ring"]
    assert seen.get("broken") is None
    assert picklable([Broken(), RING]) == (RING,)  # type: ignore[list-item]


def test_workers_see_what_a_finder_sees_here_and_without_workers_nobody_looks(
    tmp_path: Path,
) -> None:
    paths = [str(tmp_path / f"{i}.png") for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(picture(i)).save(path)
    paths.insert(1, str(tmp_path / "missing.png"))
    images = ImageStream(paths, PREPROCESSING, workers=1, view=80, artifacts=[RING, FRAME])
    first, second = images.read([[0, 1, 2], [3]])
    for batch in (first, second):
        assert set(batch.seen) == {"dark_ring", "white_frame"}
        for artifact in (RING, FRAME):
            here = [artifact.find(view) for view in batch.views]
            assert all(map(same, batch.seen[artifact.id], here))
    assert [found.present for found in first.seen["dark_ring"]] == [True, False]
    (alone,) = ImageStream(paths, PREPROCESSING, artifacts=[RING]).read([[0]])
    assert not alone.seen
