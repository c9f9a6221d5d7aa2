"""HDF5 files of JPEGs: as ISIC 2024 has them, and as somebody might make them to do harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from melaudit.errors import DatasetError
from melaudit.images.containers import hdf5_index
from melaudit.images.dataset import open_dataset
from melaudit.images.files import Omissions
from melaudit.images.imagefile import read_image
from melaudit.images.storage.stored import DATASET, Stored
from tests.images.encoded import JPEG, PNG

h5py = pytest.importorskip("h5py")

BYTES = np.frombuffer(JPEG, np.uint8)


def written(path: Path, write: Callable[[Any], object], **options: Any) -> Path:
    with h5py.File(path, "w", **options) as file:
        write(file)
    return path


def isic(file: Any) -> None:
    """Write what a file of images of ISIC 2024 holds: one text of bytes for each id."""
    for name in ("ISIC_0015670", "ISIC_0015845", "ISIC_0015864"):
        file.create_dataset(name, data=np.bytes_(JPEG))


def test_a_table_finds_its_images_by_id(tmp_path: Path) -> None:
    images = written(tmp_path / "train-image.hdf5", isic)
    text = "isic_id,target,patient_id\nISIC_0015670,0,a\nISIC_0015845.jpg,1,b\nISIC_1,1,c\n"
    (tmp_path / "train-metadata.csv").write_text(text)
    dataset = open_dataset(tmp_path / "train-metadata.csv", image_root=images)
    assert dataset.ids == ("ISIC_0015670", "ISIC_0015845")
    assert dataset.labels.tolist() == [0, 1]
    assert list(dataset.metadata["patient_id"]) == ["a", "b"]
    assert dataset.skipped == {"missing": 1}
    assert [read_image(path).status for path in dataset.paths] == ["ok", "ok"]
    assert open_dataset(images).ids == (*dataset.ids, "ISIC_0015864")


def every_storage(file: Any) -> None:
    file.create_dataset("a/opaque", data=np.void(JPEG))
    file.create_dataset("a/row.jpg", data=BYTES)
    chunked = file.create_dataset("b/chunks.jpg", data=BYTES, chunks=(100,), compression="gzip")
    assert chunked.chunks
    file.create_dataset("b/shuffled", data=BYTES, shuffle=True, fletcher32=True)


@pytest.mark.parametrize("options", [{}, {"userblock_size": 512}, {"libver": "latest"}])
def test_images_are_read_however_their_bytes_are_stored(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    dataset = open_dataset(written(tmp_path / "x.h5", every_storage, **options))
    assert dataset.counts == {"a": 2, "b": 2}
    plain = tmp_path / "plain.jpg"
    plain.write_bytes(JPEG)
    expected = read_image(plain)
    for path in dataset.paths:
        decoded = read_image(path)
        assert (decoded.status, decoded.content) == ("ok", expected.content)
    asked = [stored.start == DATASET for path in dataset.paths if (stored := Stored.at(path))]
    assert asked == [False, False, True, True]  # the library is asked only where it has to be


def test_what_leads_elsewhere_or_would_take_the_memory_is_counted(tmp_path: Path) -> None:
    other = written(tmp_path / "other.h5", isic)
    (tmp_path / "raw.bin").write_bytes(JPEG)

    def hostile(file: Any) -> None:
        file.create_dataset("a/good.jpg", data=BYTES)
        file["a/soft.jpg"] = h5py.SoftLink("/a/good.jpg")
        file["a/external.jpg"] = h5py.ExternalLink(str(other), "ISIC_0015670")
        file["a/loop"] = file["a"]
        stored = [(str(tmp_path / "raw.bin"), 0, len(JPEG))]
        file.create_dataset("a/outside.jpg", (len(JPEG),), np.uint8, external=stored)
        layout = h5py.VirtualLayout((len(JPEG),), np.uint8)
        layout[:] = h5py.VirtualSource(file["a/good.jpg"])
        file.create_virtual_dataset("a/virtual.jpg", layout)
        file.create_dataset("a/huge.jpg", (2**31,), np.uint8, chunks=(1000,))
        file.create_dataset("a/chunk.jpg", (2**28,), np.uint8, chunks=(2**27,))
        file.create_dataset("a/empty.jpg", data=h5py.Empty("V8"))
        file.create_dataset("a/pixels.jpg", data=np.zeros((4, 4, 3), np.uint8))
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((100,))
        made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # zstd, by a plugin
        space = h5py.h5s.create_simple((len(JPEG),))
        h5py.h5d.create(file["a"].id, b"plugin.jpg", h5py.h5t.NATIVE_UINT8, space, made)

    omitted = Omissions()
    members = hdf5_index.hdf5_members(str(written(tmp_path / "x.h5", hostile)), omitted)
    assert set(members.sizes) == {"a/good.jpg"}
    assert omitted.counts == {
        "link_in_archive": 2,
        "outside_root": 3,
        "too_large": 1,
        "chunk_too_large": 1,
        "empty": 1,
        "not_bytes_of_an_image": 1,
        "filter_by_plugin": 1,
    }


def test_a_file_without_images_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    arrays = written(tmp_path / "x.h5", lambda f: f.create_dataset("x", data=np.zeros((2, 4, 4))))
    with pytest.raises(DatasetError, match=r"x \(2, 4, 4\) float64.*write them to files"):
        open_dataset(arrays)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + b"\xff" * 600, PNG])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.hdf5").write_bytes(content)
    with pytest.raises(DatasetError, match="no HDF5 file that can be read"):
        open_dataset(tmp_path / "x.hdf5")


def test_of_a_file_that_somebody_writes_it_is_said_what_to_do_and_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        isic(file)
        file.flush()
        with pytest.raises(
            DatasetError, match=r"x\.h5 is locked .*close it in the .*HDF5_USE_FILE_LOCKING=FALSE"
        ):
            open_dataset(path)
        with monkeypatch.context() as patch:
            patch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
            assert len(open_dataset(path).ids) == 3
    dataset = open_dataset(path)
    assert [read_image(each).status for each in dataset.paths] == ["ok"] * 3


def test_an_image_that_the_file_no_longer_holds_is_skipped(tmp_path: Path) -> None:
    path = written(tmp_path / "x.h5", every_storage)
    dataset = open_dataset(path)
    path.write_bytes(path.read_bytes()[:700])
    assert {read_image(p).reasons for p in dataset.paths} == {("truncated",), ("damaged",)}


def test_a_file_that_kills_its_reader_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexing = hdf5_index._Indexing()
    assert "ends or holds up" in str(indexing("x.h5", {0: "decoder_died"}, lambda _: None))
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert "pip install 'melaudit[hdf5]'" in str(indexing("x.h5", {}, lambda _: None))
