"""The stream of images: every path has a status, whoever reads it and however it travels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.errors import DatasetError
from melaudit.images import image_stream
from melaudit.images.contents import contents_of
from melaudit.images.image_stream import ImageStream, Loaded
from melaudit.images.imagefile import read_image, shrink
from melaudit.images.preprocessing import Preprocessing
from tests.images.encoded import JPEG, PNG, encoded, pixels

PREPROCESSING = Preprocessing((32, 32), (0.5,) * 3, (0.25,) * 3, "bilinear", None, "a test")


def in_batches(
    paths: Sequence[str], preprocessing: Preprocessing, size: int, view: int = 1024
) -> list[Loaded]:
    """All images of `paths` once, in order, `size` to a batch."""
    batches = [range(k, min(k + size, len(paths))) for k in range(0, len(paths), size)]
    return list(ImageStream(paths, preprocessing, view=view).read(batches))


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, ...]:
    """Eleven files: two broken, one missing, one flagged."""
    for i in range(11):
        image = Image.fromarray(pixels(40 + 3 * i, 70, seed=i))
        (tmp_path / f"{i:02}.png").write_bytes(encoded(image, "PNG"))
    (tmp_path / "03.png").write_bytes(b"no image")
    (tmp_path / "05.png").write_bytes(PNG[:2000])
    (tmp_path / "07.png").write_bytes(JPEG)
    (tmp_path / "10.png").unlink()
    return tuple(str(tmp_path / f"{i:02}.png") for i in range(11))


STATUSES = {3: ("skipped", ("not_an_image",)), 5: ("skipped", ("truncated",))}
STATUSES |= {7: ("flagged", ("extension_mismatch",)), 10: ("skipped", ("missing",))}


def assert_same(one: list[Loaded], other: list[Loaded]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.indices, a.positions, a.statuses, a.sizes) == (
            *(b.indices, b.positions, b.statuses, b.sizes),
        )
        assert torch.equal(a.inputs, b.inputs)
        assert len(a.views) == len(b.views)
        assert all(np.array_equal(x, y) for x, y in zip(a.views, b.views, strict=True))


def test_the_stream_gives_every_path_a_status_and_every_image_its_pixels(
    paths: tuple[str, ...],
) -> None:
    batches = in_batches(paths, PREPROCESSING, 4, view=64)
    assert [batch.indices for batch in batches] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10)]
    assert [batch.start for batch in batches] == [0, 4, 8]
    assert [batch.positions for batch in batches] == [(0, 1, 2), (4, 6, 7), (8, 9)]
    statuses = [status for batch in batches for status in batch.statuses]
    assert statuses == [STATUSES.get(i, ("ok", ())) for i in range(11)]
    for batch in batches:
        for position, tensor, view in zip(batch.positions, batch.inputs, batch.views, strict=True):
            image = read_image(paths[position]).image
            assert image is not None
            assert torch.equal(tensor, PREPROCESSING.apply(image))
            assert np.array_equal(view, shrink(image, 64))
            assert batch.sizes[batch.indices.index(position)] == image.shape[1::-1]


def test_a_batch_without_a_single_image_is_empty_not_absent(paths: tuple[str, ...]) -> None:
    (batch,) = ImageStream(paths, PREPROCESSING).read([[3, 5]])
    assert batch.inputs.shape == (0, 3, 32, 32)
    assert (batch.positions, batch.views) == ((), ())


def test_an_image_too_elongated_for_the_crop_is_skipped(tmp_path: Path) -> None:
    Image.new("RGB", (70_000, 1)).save(tmp_path / "a.png")
    strip = Preprocessing((256, 256), (0.5,) * 3, (0.5,) * 3, "bilinear", 224, "a test")
    (batch,) = in_batches([str(tmp_path / "a.png")] * 2, strip, 2)
    assert batch.statuses == (("skipped", ("too_elongated",)),) * 2


def test_a_process_lenient_about_broken_files_does_not_make_the_stream_so(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (batch,) = in_batches(paths[5:6], PREPROCESSING, 1)
    assert batch.statuses == (("skipped", ("truncated",)),)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.fixture(scope="module")
def batches() -> list[list[int]]:
    return [[0, 1, 2], [3, 4], [10, 9, 8, 7], [5], [6]]


def test_workers_change_nothing_but_the_speed(
    paths: tuple[str, ...], batches: list[list[int]]
) -> None:
    alone = list(ImageStream(paths, PREPROCESSING, view=64).read(batches))
    torch.manual_seed(0)
    random = torch.get_rng_state()
    images = ImageStream(paths, PREPROCESSING, workers=2, view=64)
    assert_same(list(images.read(batches)), alone)
    assert torch.equal(torch.get_rng_state(), random)


def test_a_batch_travels_without_shared_memory_where_that_is_too_small(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = image_stream._Files(PREPROCESSING, 64, 10**6)
    job = tuple(enumerate(paths[:3]))
    shared = files(job)
    assert isinstance(shared.inputs, torch.Tensor)
    assert isinstance(shared.pixels, torch.Tensor)
    monkeypatch.setattr(image_stream, "_SHARED_RESERVE", 2**62)
    piped = files(job)
    assert isinstance(piped.inputs, np.ndarray)
    assert isinstance(piped.pixels, np.ndarray)
    assert_same([image_stream._unpack(piped)], [image_stream._unpack(shared)])


def test_an_image_that_was_given_up_is_skipped_and_no_other(paths: tuple[str, ...]) -> None:
    files = image_stream._Files(PREPROCESSING, 64, 10**6, (DarkRing(),))
    job, announced = tuple(enumerate(paths[:4])), list[int]()
    usual = image_stream._unpack(files(job))
    found = image_stream._unpack(files(job, {1: "decoder_died"}, announced.append))
    assert announced == [0, 1, 2, 3, 0, 2], "each is announced, and again where finders look"
    assert found.statuses[1] == ("skipped", ("decoder_died",))
    assert found.statuses[::2] == usual.statuses[::2]
    assert (usual.positions, found.positions) == ((0, 1, 2), (0, 2))
    assert torch.equal(found.inputs, usual.inputs[[0, 2]])
    assert len(found.seen["dark_ring"]) == 2
    lost = image_stream._Files(PREPROCESSING, 64, 10**6)(job, {1: "decoder_died"})
    assert lost.contents == files(job).contents, "a run is resumed by what the file holds"


def test_a_file_that_has_changed_since_the_run_began_is_refused(paths: tuple[str, ...]) -> None:
    contents = contents_of(paths, lambda _: None)
    assert not contents[10].any(), "it is missing"
    images = ImageStream(paths, PREPROCESSING, contents=contents)
    assert len(list(images.read([[0, 1], [5, 10]]))) == 2
    Path(paths[1]).write_bytes(Path(paths[2]).read_bytes())
    with pytest.raises(DatasetError, match=r"01\.png is no longer the file that it was"):
        list(images.read([[0, 1]]))
    Path(paths[10]).write_bytes(PNG)
    with pytest.raises(DatasetError, match=r"10\.png is no longer"):
        list(images.read([[10]]))
