"""Tar shards: what WebDataset writes is read, and nothing in them leads anywhere else."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from melaudit.errors import DatasetError
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.imagefile import read_image
from tests.images.encoded import JPEG, PNG, pixels

Member = tuple[str, bytes] | tarfile.TarInfo


def packed(path: Path, members: Iterable[Member]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def unpacked(root: Path, members: Mapping[str, bytes]) -> Path:
    for name, content in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def labels(dataset: Dataset) -> dict[str, str]:
    return {i: dataset.classes[k] for i, k in zip(dataset.ids, dataset.labels, strict=True)}


CLASSES = {"a/1.jpg": JPEG, "a/2.png": PNG, "b/3.jpg": JPEG, "b/deep/4.jpg": JPEG[:-40]}


def test_a_tar_file_of_folders_is_the_folder_that_it_was_made_of(tmp_path: Path) -> None:
    folder = open_dataset(unpacked(tmp_path / "folder", CLASSES))
    shard = open_dataset(packed(tmp_path / "one.tar", CLASSES.items()))
    assert (shard.ids, shard.classes, labels(shard)) == (
        folder.ids,
        folder.classes,
        labels(folder),
    )
    assert shard.fingerprint == folder.fingerprint
    assert shard.kind == "image folder (tar shards)"
    for mine, theirs in zip(shard.paths, folder.paths, strict=True):
        one, other = read_image(mine), read_image(theirs)
        assert (one.status, one.reasons, one.content) == (
            other.status,
            other.reasons,
            other.content,
        )
        assert (one.image is None) == (other.image is None)
        if one.image is not None and other.image is not None:
            assert np.array_equal(one.image, other.image)


def test_shards_are_read_with_what_stands_beside_the_images(tmp_path: Path) -> None:
    for shard in range(2):
        members: list[Member] = []
        for k in range(shard * 3, shard * 3 + 3):
            told = {"patient_id": f"p{k // 2}", "age": 40 + k, "ok": True, "boxes": [1, 2]}
            members += [(f"{k:03}.jpg", JPEG), (f"{k:03}.json", json.dumps(told).encode())]
            members += [(f"{k:03}.cls", b"1" if k % 2 else b"0\n")]
        packed(tmp_path / "shards" / f"{shard:06}.tar", members)
    dataset = open_dataset(tmp_path / "shards", classes=["benign", "malignant"])
    assert dataset.ids == tuple(f"{k:03}.jpg" for k in range(6))
    assert [dataset.classes[k] for k in dataset.labels] == ["benign", "malignant"] * 3
    assert list(dataset.metadata["patient_id"]) == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert list(dataset.metadata["age"]) == [40, 41, 42, 43, 44, 45]
    assert "boxes" not in dataset.metadata
    assert dataset.skipped == {}
    assert all(read_image(path).status == "ok" for path in dataset.paths)


def test_a_label_among_the_facts_is_a_label(tmp_path: Path) -> None:
    members = [("x.jpg", JPEG), ("x.json", b'{"diagnosis": "nevus", "image": "elsewhere"}')]
    members += [("y.jpg", JPEG), ("y.json", b'{"diagnosis": "melanoma"}')]
    dataset = open_dataset(packed(tmp_path / "t.tar", members))
    assert labels(dataset) == {"x.jpg": "nevus", "y.jpg": "melanoma"}


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a member was unpickled')",)


def hostile(tmp_path: Path) -> list[Member]:
    linked, hard, pipe = (tarfile.TarInfo(f"a/{name}.jpg") for name in ("link", "hard", "pipe"))
    linked.type, linked.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.jpg")
    hard.type, hard.linkname = tarfile.LNKTYPE, "a/1.jpg"
    pipe.type = tarfile.FIFOTYPE
    return [
        *CLASSES.items(),
        *(("/a/root.jpg", JPEG), ("a/../../up.jpg", JPEG), ("..\\up.jpg", JPEG)),
        *(linked, hard, pipe),
        *(("a/1.pyd", pickle.dumps(Bomb())), ("a/1.pth", pickle.dumps(Bomb()))),
        *(("b/3.jpg", PNG), ("a/.hidden.jpg", JPEG), ("a/._3.jpg", b"x"), ("a/none.jpg", b"")),
    ]


def test_what_leads_elsewhere_or_is_named_twice_is_counted_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    dataset = open_dataset(packed(tmp_path / "t.tar", hostile(tmp_path)))
    assert dataset.ids == ("a/1.jpg", "a/2.png", "a/none.jpg", "b/deep/4.jpg")
    assert dataset.skipped == {
        "outside_root": 3,
        "link_in_archive": 2,
        "not_a_file": 1,
        "not_an_image_extension": 2,
        "ambiguous_name": 2,
        "apple_double": 1,
    }
    reasons = {i: read_image(p).reasons for i, p in zip(dataset.ids, dataset.paths, strict=True)}
    assert reasons["a/none.jpg"] == ("empty",)
    assert reasons["b/deep/4.jpg"] == ("truncated",)


def test_a_tar_file_that_breaks_off_gives_what_is_there(tmp_path: Path) -> None:
    whole = packed(tmp_path / "t.tar", [(f"a/{k}.bmp", pixels().tobytes()) for k in range(3)])
    content = whole.read_bytes()
    one = 512 + -(-len(pixels().tobytes()) // 512) * 512
    whole.write_bytes(content[: one + 512 + 100])  # in the second image
    dataset = open_dataset(whole)
    assert dataset.ids == ("a/0.bmp",)
    assert dataset.skipped == {"truncated": 1, "damaged_archive": 1}
    whole.write_bytes(content[: one + 100])  # in the second header
    assert open_dataset(whole).skipped == {"damaged_archive": 1}


def test_a_header_cannot_take_the_memory(tmp_path: Path) -> None:
    long = tarfile.TarInfo("a/" + "x" * 2**21 + ".jpg")
    shard = packed(tmp_path / "t.tar", [("a/1.jpg", JPEG), long, ("a/2.jpg", JPEG)])
    dataset = open_dataset(shard)
    assert (dataset.ids, dataset.skipped) == (("a/1.jpg",), {"damaged_archive": 1})


def test_an_annotation_that_is_none_is_counted(tmp_path: Path) -> None:
    members = [("x.jpg", JPEG), ("x.cls", b"1"), ("y.jpg", JPEG), ("y.json", b"[1]")]
    members += [("z.jpg", JPEG), ("z.json", b"[" * 100_000)]
    dataset = open_dataset(packed(tmp_path / "t.tar", members))
    assert dataset.skipped == {"malformed_row": 2}
    assert dataset.labels.tolist() == [0, -1, -1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.tar", b"no tar file at all", "no tar file"),
        ("t.tar", b"", "empty"),
        ("t.tar.gz", b"\x1f\x8b", "uncompress it"),
    ],
)
def test_what_is_no_tar_file_is_refused_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        open_dataset(tmp_path / name)


def test_a_table_finds_its_images_in_a_tar_file(tmp_path: Path) -> None:
    shard = packed(tmp_path / "t.tar", [("deep/x.jpg", JPEG), ("deep/Y.PNG", PNG)])
    (tmp_path / "t.csv").write_text("image_id,dx\nx,nev\ny,mel\ngone,mel\n../x,nev\n")
    dataset = open_dataset(tmp_path / "t.csv", image_root=shard)
    assert labels(dataset) == {"deep/Y.PNG": "mel", "deep/x.jpg": "nev"}
    assert dataset.skipped == {"missing": 2}


def test_tar_files_beside_images_are_no_data_set_of_their_own(tmp_path: Path) -> None:
    packed(tmp_path / "backup.tar", CLASSES.items())
    unpacked(tmp_path, {"a/1.jpg": JPEG, "b/2.jpg": JPEG})
    dataset = open_dataset(tmp_path)
    assert dataset.ids == ("a/1.jpg", "b/2.jpg")
    assert dataset.skipped == {"not_an_image_extension": 1}
