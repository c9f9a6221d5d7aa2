"""Checkpoints whose archive or pickle was made by hand to deceive the reader."""

import collections
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from melaudit.errors import CheckpointError
from melaudit.models.checkpoint import read_weights
from tests.models.made_up_checkpoints import refusal, same, saved, small


def rewritten(path: Path, change: Callable[[zipfile.ZipFile, zipfile.ZipFile], None]) -> Path:
    """Write an archive again, member by member, through a change."""
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
        change(old, new)
    return path


def test_an_archive_written_again_by_another_tool_is_read(tmp_path: Path) -> None:
    assert same(read_weights(rewritten(saved(tmp_path, small()), lambda *_: None)).tensors, small())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../../evil", "outside itself"),
        ("/etc/evil", "outside itself"),
        ("inner\\..\\evil", "outside itself"),
        ("other/data.pkl", "2 members data.pkl"),
        ("CKPT/DATA.PKL", "same name"),
    ],
)
def test_a_member_that_torch_would_not_write_is_refused(
    tmp_path: Path, name: str, said: str
) -> None:
    path = rewritten(saved(tmp_path, small()), lambda _, new: new.writestr(name, b"x"))
    assert said in refusal(path)


def test_a_member_whose_name_ends_like_that_of_the_pickle_does_no_harm(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path, small()), lambda _, n: n.writestr("ckpt/xdata.pkl", b"x"))
    assert same(read_weights(path).tensors, small())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_pickles_of_one_name_are_refused(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path, small()), lambda _, n: n.writestr("ckpt/data.pkl", b"N."))
    assert "2 members data.pkl" in refusal(path)


def test_a_compressed_member_is_refused_unread(tmp_path: Path) -> None:
    path = rewritten(
        saved(tmp_path, small()),
        lambda _, new: new.writestr("ckpt/data/99", bytes(10**7), zipfile.ZIP_DEFLATED),
    )
    assert path.stat().st_size < 10**5
    assert "compressed" in refusal(path)


def test_two_files_in_one_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, small())
    first = path.read_bytes()
    path.write_bytes(first + saved(tmp_path, {"weight": torch.ones(3)}).read_bytes())
    assert path.name in refusal(path)


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "ckpt.npz", a=np.ones(3))
    assert "numpy arrays" in refusal(tmp_path / "ckpt.npz")
    with zipfile.ZipFile(tmp_path / "ckpt.zip", "w") as archive:
        archive.writestr("model/readme.txt", "hello")
    assert "something else" in refusal(tmp_path / "ckpt.zip")


def with_pickle(tmp_path: Path, content: bytes) -> Path:
    path = saved(tmp_path, small())
    old = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            inner = content if member.filename.endswith("data.pkl") else source.read(member)
            target.writestr(member.filename, inner)
    return path


ENCODE = b"c_codecs\nencode\n"
A_IN_HEX = b"X\x01\x00\x00\x00aX\x03\x00\x00\x00hex"
"""Each encoding as hex doubles a text; of a few hundred bytes that makes any number."""


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"\x80\x02)" + b"".join(b"q%c0h%ch%c\x86" % (i, i, i) for i in range(60)) + b".",
            "tuples",
        ),
        (b"\x80\x02h\x07.", "never stored"),
        (b"\x80\x02" + b"0" * 9 + b".", "empty stack"),
        (b"\x80\x02" + b"]" * 9 + b"u.", "mark"),
        (b"\x80\x02cposix\nsystem\nq\x000}.", "posix.system"),
        (b"\x80\x04\x8c\x05posixq\x000\x8c\x06systemq\x010h\x00h\x01\x93.", "posix.system"),
        (b"\x80\x02\x82\x01.", "extension"),
        (b"\x80\x02c__builtin__\neval\n.", "builtins.eval"),
        (b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x02\x85R.", "bytearray"),
        (b"\x80\x02" + ENCODE + A_IN_HEX + b"\x86R.", "latin1"),
        (b"\x80\x02" + ENCODE + b"q\x000" + A_IN_HEX + b"\x86q\x010h\x00h\x01R.", "latin1"),
        (b"\x80\x02" + ENCODE + b"](" + A_IN_HEX + b"eR.", "latin1"),
        (b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93" + A_IN_HEX + b"\x86R.", "latin1"),
        (b"\x80\x02(" + ENCODE + A_IN_HEX + b"o.", "latin1"),
    ],
)
def test_a_pickle_made_by_hand_is_looked_through(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refusal(with_pickle(tmp_path, content))


class Misshapen:
    """A tensor of four numbers that claims another size, stride or place in its storage."""

    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> None:
        self.claims = (torch.ones(4)._typed_storage(), offset, size, stride, False)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return torch._utils._rebuild_tensor_v2, (*self.claims, collections.OrderedDict())


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((4000, 3), (3, 1), 0),
        ((2,), (1,), 3),
        ((2,), (-1,), 0),
        ((4,), (1,), -1),
        ((2**62, 4), (4, 1), 0),
        ((2, 2), (2**62, 1), 0),
        ((2,), (1, 2), 0),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    tmp_path: Path, old: bool, size: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    path = saved(
        tmp_path,
        {"weight": Misshapen(size, stride, offset)},
        _use_new_zipfile_serialization=not old,
    )
    assert "damaged" in refusal(path)


def test_a_file_that_asks_for_more_memory_than_it_has_is_refused(tmp_path: Path) -> None:
    memo = b"\x80\x02Nr\xff\xff\xff\xff."
    assert "stores its object number" in refusal(with_pickle(tmp_path, memo))
    (tmp_path / "ckpt.pkl").write_bytes(b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.")
    assert "broken pickle" in refusal(tmp_path / "ckpt.pkl")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("depth", [20_000, 1_000_000])
def test_lists_nested_without_end_are_refused_before_they_are_loaded(
    depth: int, tmp_path: Path
) -> None:
    path = with_pickle(tmp_path, b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
    assert "nests containers" in refusal(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda h: h.replace(b'"F32"', b'"F99"', 1),
        lambda h: h.replace(b'"0.weight"', b'"0.bias_0"', 1).replace(
            b'"0.bias_0"', b'"0.bias"  ', 1
        ),
        lambda h: h.replace(b"[4,3,3,3]", b"[4,3,3,9]", 1),
        lambda h: h.replace(b"{", b"\xff", 2),
    ],
)
def test_a_damaged_header_of_safetensors_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "ckpt.safetensors"
    save_file(small(), path)
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = damage(content[8 : 8 + length])
    assert header != content[8 : 8 + length]
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
    refusal(path)


def test_an_old_torch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, small())
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(CheckpointError, match=r"2\.9\.1.*2\.10 or newer"):
        read_weights(path)
