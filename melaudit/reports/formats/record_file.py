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
import types
import typing
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from melaudit.errors import StoreError
from melaudit.publish import publish
from melaudit.reports.formats.json_file import read_findings, to_json
from melaudit.reports.interface import Record

NAME = "record.zip"
VERSION = 1
MAX_BYTES = 2**30
"""A record that unpacks to more is not one of ours."""

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
    findings = read_findings(folder / "findings.json")
    path = folder / NAME
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"{path} is no record of this melaudit ({type(error).__name__}: {error}); "
            "run the audit again or use the melaudit that wrote it"
        ) from error
    if contents["findings"] != _digest((folder / "findings.json").read_bytes()):
        raise StoreError(
            f"{path} and findings.json beside it are of different runs, or one was changed since; "
            "put back the findings.json of that run, or run the audit again"
        )
    return record


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
        return np.load(io.BytesIO(archive.read(value)), allow_pickle=False)
    if hint is bytes:
        return archive.read(value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _unpacked(arguments[1], part, archive) for key, part in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(**{k: _unpacked(hints[k], v, archive) for k, v in value.items() if k in hints})
    return value
