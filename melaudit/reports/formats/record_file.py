"""record.zip: the pictures and maps of a report, so that it can be drawn again without the model.

It holds everything of a `Record` but the findings, which are in findings.json: photographs as
WebP, as they were re-encoded from pixels, maps as NumPy arrays, the rest as JSON. Nothing in it is
ever executed. The same record gives the same bytes, and its report is the one of the run.

It holds the hash of findings.json as it was written. So a file of an older version, which lacks
what was added since, is accepted, and a file that was changed is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import types
import typing
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melaudit.errors import StoreError
from melaudit.publish import publish
from melaudit.regular_file import read_regular
from melaudit.reports.formats.json_file import NAME as FINDINGS
from melaudit.reports.formats.json_file import read_findings, to_json
from melaudit.reports.interface import Record

NAME = "record.zip"
VERSION = 1
MAX_BYTES = 2**28
"""A record that has more, packed or unpacked, is not one of ours. Chosen: a round figure; the
record of an audit of 1,000 images has 2 MB."""
_MAX_MEMBERS = 100_000
_MAX_DIRECTORY = 2**24
"""Bytes of the list of members, which zipfile reads whole. Chosen: round figures, not measured."""
_END = b"PK\x05\x06"
"""Begins the end of the list of members; its size stands 12 bytes further (APPNOTE.TXT, 4.3.16)."""

_ELSEWHERE = "findings"
_CONTENTS = "record.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the same record gives the same bytes."""


def write_record(record: Record, path: Path) -> None:
    """Write what a record holds besides its findings, whole or not at all.

    Raises StoreError when `path` cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        fields = {
            f.name: _packed(getattr(record, f.name), archive)
            for f in dataclasses.fields(record)
            if f.name != _ELSEWHERE
        }
        written = to_json(record.findings).encode("ascii")
        contents = {"version": VERSION, "findings": _digest(written), "record": fields}
        text = json.dumps(contents, ensure_ascii=True)
        _add(archive, _CONTENTS, text.encode("ascii"), zipfile.ZIP_DEFLATED)
    publish(path, buffer.getvalue())


def read_record(folder: Path) -> Record:
    """Read the record of an output folder back: findings.json and record.zip.

    Raises StoreError when one of them is missing, broken or of another run than the other.
    """
    findings = read_findings(folder)
    path = folder / NAME
    try:
        content = read_regular(path, MAX_BYTES, folder)
        _check_directory(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive.infolist())
            contents = json.loads(archive.read(_CONTENTS))
            if contents["version"] != VERSION:
                raise ValueError(f"version {contents['version']}, expected {VERSION}")
            hints = typing.get_type_hints(Record)
            fields = {
                name: _unpacked(hints[name], value, archive)
                for name, value in contents["record"].items()
                if name in hints
            }
        record = Record(findings=findings, **fields)
    except FileNotFoundError as error:
        raise StoreError(
            f"{folder} holds no {NAME}, from which its report could be drawn again; "
            "it was made by an older melaudit: run the audit again"
        ) from error
    except Exception as error:  # hostile bytes make zipfile, zlib, json and numpy raise anything
        raise StoreError(
            f"{path} is no record of this melaudit ({type(error).__name__}: {str(error)[:300]}); "
            "run the audit again or use the melaudit that wrote it"
        ) from error
    if contents["findings"] != _digest((folder / FINDINGS).read_bytes()):
        raise StoreError(
            f"{path} and findings.json beside it are of different runs, or one was changed since; "
            "put back the findings.json of that run, or run the audit again"
        )
    return record


def _check_directory(content: bytes) -> None:
    """Refuse a list of members that would fill the memory before anything else is known."""
    end = content.rfind(_END)
    if end < 0 or len(content) < end + 16:
        raise ValueError("it is no zip archive, or breaks off")
    if int.from_bytes(content[end + 12 : end + 16], "little") > _MAX_DIRECTORY:
        raise ValueError("its list of members is too long")


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:
        raise ValueError(f"it has {len(members):,} members")
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES // 2**20} MiB")
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if any(member.compress_type not in known for member in members):
        raise ValueError("it is packed in another way than records are")


def _digest(written: bytes) -> str:
    """Return the hash of the bytes of a findings.json."""
    return hashlib.sha256(written).hexdigest()


def _packed(value: Any, archive: zipfile.ZipFile) -> Any:
    """Turn a field of a record into JSON's types; arrays and pictures become named members."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _packed(getattr(value, f.name), archive) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return _add(archive, _next(archive, "npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)
    if isinstance(value, bytes):
        return _add(archive, _next(archive, "webp"), value, zipfile.ZIP_STORED)
    if isinstance(value, Mapping):
        return {str(key): _packed(part, archive) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(part, archive) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _next(archive: zipfile.ZipFile, kind: str) -> str:
    return f"{len(archive.namelist()):05d}.{kind}"


def _add(archive: zipfile.ZipFile, name: str, data: bytes, compression: int) -> str:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = compression
    archive.writestr(member, data)
    return name


def _unpacked(hint: Any, value: Any, archive: zipfile.ZipFile) -> Any:
    """Rebuild a field of a record by its type annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if origin in (types.UnionType, typing.Union):
        inner = [a for a in arguments if a is not type(None)]
        return _unpacked(inner[0], value, archive) if len(inner) == 1 else value
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_unpacked(k, v, archive) for k, v in zip(kinds, value, strict=True))
    if hint is np.ndarray or origin is np.ndarray:
        return _array(archive.read(value))
    if hint is bytes:
        return archive.read(value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _unpacked(arguments[1], part, archive) for key, part in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(**{k: _unpacked(hints[k], v, archive) for k, v in value.items() if k in hints})
    if not isinstance(value, (int, float) if hint is float else hint):
        raise TypeError(f"{str(value)[:60]!r} stands where {hint.__name__} is expected")
    return value


def _array(content: bytes) -> NDArray[np.generic]:
    """Return the array of an .npy file that has exactly the bytes which its header promises."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"an array of format {version}; expected (1, 0)")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"an array {shape} of {dtype} in {len(content)} bytes")
    array: NDArray[np.generic] = np.load(io.BytesIO(content), allow_pickle=False)
    return array
