"""Inspection: find out what kind of file a checkpoint is, before anything is deserialised.

The kind is read from the content. Whatever torch.save never writes is refused, because it is damage
or a way to hide something.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import struct
import zipfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from melaudit.errors import CheckpointError
from melaudit.models.frameworks import refuse_framework, refuse_objects
from melaudit.models.messages import first_line, refuse, shown, trusting
from melaudit.models.pickles import (
    MAX_PICKLE_BYTES,
    Disassembly,
    MalformedPickleError,
    disassemble,
)
from melaudit.wording.names import visible

MAX_FILE_BYTES = 16 * 2**30
"""Chosen: the largest image classifiers have 10 GB, with the state of their optimizer."""

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""The number that files of torch.save began with before they were zip archives
(torch/serialization.py)."""

_MAX_TENSORS = 100_000
_MAX_HEADER_BYTES = 25 * 2**20
"""Of a safetensors file. Chosen: round figures, not measured."""
_LOCAL_HEADER = 30
"""Bytes before the name of a zip member."""
_ENCRYPTED = 0x1 | 0x40
"""Flags of a zip member: encrypted, strongly encrypted."""

_OTHER_FILES = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself: run `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
    (b"\x93NUMPY", "a numpy array; expected a state_dict, a mapping from names to tensors"),
    (b"\x89PNG", "a PNG image; expected a checkpoint"),
    (b"\xff\xd8\xff", "a JPEG image; expected a checkpoint"),
    (b"%PDF", "a PDF document; expected a checkpoint"),
    (b"\x7fELF", "a program; expected a checkpoint"),
)


class Kind(StrEnum):
    """The kinds of file that hold weights."""

    SAFETENSORS = "safetensors"
    TORCH = "torch.save"
    PICKLE = "plain pickle"
    TORCHSCRIPT = "TorchScript"
    EXPORTED = "exported program"


def read_bytes(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a whole regular file, so that the same bytes are hashed, inspected and loaded.

    Raises CheckpointError if the file does not exist, is empty, has more than `max_bytes`, or is
    not a regular file.
    """
    try:
        # A plain open() would wait forever for somebody to write to a pipe.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(number, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                refuse(path, "not a regular file (a pipe, device or socket); expected a checkpoint")
            if status.st_size > max_bytes:
                refuse(path, f"larger than {max_bytes / 2**20:,.0f} MiB; expected less")
            content = file.read(status.st_size + 1)
            if len(content) != status.st_size:
                refuse(path, "being written to; expected a file that is complete")
    except FileNotFoundError as error:
        raise CheckpointError(f"{shown(path)} does not exist; expected a checkpoint") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{shown(path)} is a folder; expected a checkpoint file") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise CheckpointError(f"{shown(path)} cannot be read: {reason}") from error
    if not content:
        refuse(path, "an empty file; its download or copy may have failed: get it again")
    return content


def kind_of(content: bytes, path: Path) -> Kind:
    """Return the kind of file that holds these bytes; `path` is for messages.

    Raises CheckpointError for a file of another kind, saying what it is, and for a zip archive that
    is damaged or built to deceive.
    """
    if content.startswith(b"PK\x03\x04"):
        return _kind_of_archive(content, path)
    length = int.from_bytes(content[:8], "little")
    named = content[8:9] == b"{"
    # Before pickles: the length of one header in 32 begins as a pickle does.
    if named and length <= min(_MAX_HEADER_BYTES, len(content) - 8):
        return Kind.SAFETENSORS
    if content.startswith(b"\x80"):
        return _kind_of_pickle(_disassembled(io.BytesIO(content), path))
    if named:
        if length > _MAX_HEADER_BYTES:
            refuse(path, f"a safetensors file whose header claims {length:,} bytes; get it again")
        refuse(path, "a safetensors file that breaks off in its header; get it again")
    try:  # the first pickle protocols have no magic bytes
        found = disassemble(io.BytesIO(content[:MAX_PICKLE_BYTES]))
    except MalformedPickleError:
        found = None
    if found and (found.globals or found.first_integer == _MAGIC_NUMBER):
        return _kind_of_pickle(found)
    _refuse_unknown(content, path)


def _kind_of_pickle(first: Disassembly) -> Kind:
    """Recognise an old file of torch.save by its first pickle, the magic number."""
    plain = first.first_integer == _MAGIC_NUMBER and not first.globals
    return Kind.TORCH if plain else Kind.PICKLE


def require_weights_only(content: bytes, kind: Kind, path: Path) -> None:
    """Raise CheckpointError for a file that is more than weights; say what it would run."""
    if kind is Kind.SAFETENSORS:
        _inspect_header(content, path)
    elif kind is Kind.TORCH:
        _require_plain(disassemblies(content, kind, path), path)
    elif kind is Kind.PICKLE:
        foreign = disassemblies(content, kind, path)[0].foreign
        refuse_objects(foreign, path)
        what = f" that would import {_listed(foreign)}" if foreign else ""
        refuse(path, f"a plain pickle{what}; expected a file of torch.save: {trusting(path)}")
    else:
        refuse(
            path,
            f"a program ({kind.value}), which would run code; expected weights: save "
            f"model.state_dict() instead, or, {trusting(path)}",
        )


def disassemblies(content: bytes, kind: Kind, path: Path) -> list[Disassembly]:
    """Disassemble the pickles in a file of torch.save, or the plain pickle that a file is.

    Raises CheckpointError if one is broken, or built to exhaust time or memory.
    """
    streams = [io.BytesIO(content)] if kind is Kind.PICKLE else _pickles(content, path)
    return [_disassembled(stream, path) for stream in streams]


# --- zip archives ----------------------------------------------------------------------------


def _kind_of_archive(content: bytes, path: Path) -> Kind:
    if content.count(b"PK\x01\x02") > _MAX_TENSORS:  # zipfile would make an object of each
        refuse(path, f"a zip archive of over {_MAX_TENSORS:,} members; expected less")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            kind = _kind_by_names([member.filename for member in members], path)
            if kind is Kind.TORCH:
                _check_members(members, len(content), path)
                for member in members:
                    archive.open(member).close()  # compares the two headers of each member
                _check_sums(archive, members, path)
            return kind
    except (zipfile.BadZipFile, EOFError, struct.error) as error:
        raise CheckpointError(
            f"{shown(path)} is a damaged zip archive ({first_line(error)}); its download or copy "
            "may have broken off: get it again"
        ) from error
    except (NotImplementedError, RuntimeError, OSError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{shown(path)} is a zip archive that cannot be read ({first_line(error)})"
        ) from error


def _kind_by_names(names: Sequence[str], path: Path) -> Kind:
    inner = [name.partition("/")[2] for name in names]
    if "archive_format" in inner or "serialized_exported_program.json" in (*inner, *names):
        return Kind.EXPORTED
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return Kind.TORCHSCRIPT
    pickles = [name for name in names if _holds_the_pickle(name)]
    if not pickles:
        refuse_framework(b"", path)
        what = "of numpy arrays" if names and names[0].endswith(".npy") else "of something else"
        held = ", ".join(visible(name)[:60] for name in names[:3]) or "nothing"
        refuse(path, f"a zip archive {what} (it holds {held}); expected one of torch.save")
    if len(pickles) > 1:
        refuse(path, f"a zip archive with {len(pickles)} members data.pkl; expected one")
    return Kind.TORCH


def _holds_the_pickle(name: str) -> bool:
    return PurePosixPath(name).name == "data.pkl"


def _check_members(members: Sequence[zipfile.ZipInfo], size: int, path: Path) -> None:
    """Refuse what torch.save never writes: ways to hide content, leave the folder, or expand."""
    names = [member.filename for member in members]
    if len({name.casefold() for name in names}) < len(names):
        refuse(path, "a zip archive in which two members have the same name; expected one of each")
    for name in names:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name:
            refuse(path, f"a zip archive with a member outside itself ({visible(name)[:60]})")
    if any(member.flag_bits & _ENCRYPTED for member in members):
        refuse(path, "an encrypted zip archive: decrypt it first")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        refuse(path, "a compressed zip archive, which torch.save never writes: unpack it first")
    if sum(member.file_size for member in members) > size:
        refuse(path, "a zip archive whose members claim to be larger than the file; get it again")
    placed = sorted(members, key=lambda member: member.header_offset)
    ends = [m.header_offset + _LOCAL_HEADER + len(m.filename) + m.file_size for m in placed]
    if any(end > after.header_offset for end, after in zip(ends, placed[1:], strict=False)):
        refuse(path, "a zip archive in which two members share bytes; get it again")
    if min(member.header_offset for member in members) != 0:
        refuse(path, "a zip archive with something else before its first member; get it again")


def _check_sums(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], path: Path) -> None:
    """Refuse damaged members; torch can write files without checksums, but then all lack them."""
    broken = [member.filename for member in members if not _is_intact(archive, member)]
    if broken and len(broken) < len(members):
        raise CheckpointError(
            f"{shown(path)} is damaged: {len(broken)} of its {len(members)} parts do not have the "
            f"checksum they should ({_listed(broken)}); get it again"
        )


def _is_intact(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(member) as part:
            while part.read(2**22):
                pass
    except zipfile.BadZipFile:
        return False
    return True


# --- pickles and headers ---------------------------------------------------------------------


def _pickles(content: bytes, path: Path) -> list[io.BytesIO]:
    """Return streams at the start of each pickle in a file of torch.save, old format or new."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (member,) = (m for m in archive.infolist() if _holds_the_pickle(m.filename))
            if member.file_size > MAX_PICKLE_BYTES:
                refuse(path, "a torch archive whose pickle is larger than 64 MiB; expected less")
            # Not archive.read, because there may be no checksum; torch does not check it either.
            begin = member.header_offset
            name, extra = struct.unpack("<HH", content[begin + 26 : begin + 30])
            begin += 30 + name + extra
            return [io.BytesIO(content[begin : begin + member.file_size])]
    # Magic number, version, system, object, names of storages; then the bytes of the storages.
    stream = io.BytesIO(content)
    return [stream] * 5


def _disassembled(stream: io.BytesIO, path: Path) -> Disassembly:
    try:
        return disassemble(stream)
    except MalformedPickleError as error:
        raise CheckpointError(
            f"{shown(path)} holds a broken pickle ({first_line(error)}); its download or copy may "
            "have broken off: get it again"
        ) from error


def _require_plain(found: Sequence[Disassembly], path: Path) -> None:
    foreign = sorted({name for pickle in found for name in pickle.foreign})
    if foreign:
        refuse_objects(foreign, path)
        refuse(
            path,
            f"a pickle of more than tensors: it would import {_listed(foreign)}; expected a "
            f"state_dict: save model.state_dict() instead, or, {trusting(path)}",
        )
    protocol = max(pickle.protocol for pickle in found)
    if protocol > 3:
        refuse(
            path,
            f"a pickle of protocol {protocol}, which torch does not load safely; expected "
            f"protocol 2, torch.save's own: {trusting(path)}",
        )


def _inspect_header(content: bytes, path: Path) -> None:
    """Refuse a safetensors header that different readers may understand differently."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_without_duplicates)
        if len(header) > _MAX_TENSORS:
            raise ValueError(f"it names {len(header):,} tensors")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{shown(path)} is a damaged safetensors file ({first_line(error)}); get it again"
        ) from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in its header")
    return found


def _refuse_unknown(content: bytes, path: Path) -> NoReturn:
    start = content[:4096]
    refuse_framework(start, path)
    for magic, what in _OTHER_FILES:
        if start.startswith(magic):
            refuse(path, what)
    if start[257:262] == b"ustar":
        refuse(path, "a tar archive: unpack it first, or save again what torch 0.1 saved")
    if re.match(rb"\s*<(!doctype|html|\?xml|head|body)", start, re.IGNORECASE):
        refuse(path, "a web page, perhaps of a login or an error, saved under this name")
    text = start.decode("utf-8", errors="replace")
    plain = sum(character.isprintable() or character.isspace() for character in text)
    if plain > 0.95 * len(text) and "\0" not in text:
        line = visible(" ".join(text.split())[:60])
        refuse(path, f"a text that begins {line!r}; expected a file of torch.save or safetensors")
    refuse(path, "neither a file of torch.save nor safetensors, but bytes of an unknown kind")


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(visible(name)[:80] for name in names[:4])
    return listed + (f" and {len(names) - 4} more" if len(names) > 4 else "")
