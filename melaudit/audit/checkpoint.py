"""Checkpoints: read the tensors out of a file or folder without running anything in it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import torch
from torch import Tensor

from melaudit.audit.files import visible
from melaudit.audit.pickles import (
    LARGEST_PICKLE,
    NUMPY_SCALARS,
    Disassembly,
    MalformedPickleError,
    disassemble,
)
from melaudit.audit.wrappers import sound_tensors, unwrap
from melaudit.errors import CheckpointError

LARGEST_FILE = 16 * 2**30
"""Bytes; the largest image classifiers have 10 GB, with the state of their optimizer."""

_SAFEST_TORCH = (2, 10)
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""What torch.save wrote first before it wrote zip archives (torch/serialization.py)."""

_MOST_MEMBERS = 100_000
_LARGEST_HEADER = 25 * 2**20
_LARGEST_CONFIG = 4 * 2**20
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_INDEX_FILES = tuple(f"{name}.index.json" for name in _WEIGHT_FILES)
_KNOWN = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself: run `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
    (b"\x89HDF", "an HDF5 file, such as Keras writes; expected weights of a PyTorch model"),
    (b"\x93NUMPY", "a numpy array; expected a state_dict, a mapping from names to tensors"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
)


@dataclass(frozen=True, eq=False)
class Weights:
    """The tensors of a checkpoint: float32, finite, in memory."""

    tensors: Mapping[str, Tensor]
    sha256: str
    """Of the very bytes that the tensors were read from."""
    found_under: str
    """The key, or path of keys, that held them: "state_dict"; empty if they lay bare."""
    notes: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    """A folder's config.json; empty for a file."""
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    """A folder's preprocessor_config.json, if there is one."""


def read_weights(path: Path) -> Weights:
    """Read the tensors of a checkpoint: a file of torch.save or safetensors, or a folder of these.

    A folder is one of Hugging Face or timm: config.json beside its weights. A pickle is looked
    through before it is loaded, then loaded with weights_only; there is no other way in.

    Raises CheckpointError, one line, for anything else.
    """
    require_safe_torch()
    if path.is_dir():
        return _read_folder(path)
    content = read_bytes(path)
    loaded = load(content, path)
    return _weights(loaded, path, hashlib.sha256(content).hexdigest(), len(content))


def require_safe_torch() -> None:
    """Refuse a torch whose weights-only loading can be made to run code (CVE-2026-24747)."""
    parts = re.findall(r"\d+", torch.__version__)[:2]
    if tuple(map(int, parts)) < _SAFEST_TORCH:
        raise CheckpointError(
            f"torch {torch.__version__} can be made to run code by a hostile checkpoint; expected "
            "2.10 or newer: pip install --upgrade torch"
        )


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """Read a regular file whole; what is hashed, inspected and loaded is then one and the same.

    Raises CheckpointError if there is none, or it is empty, too large or no regular file.
    """
    try:
        # A pipe that nobody writes to would keep a plain open() waiting for ever.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(number, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                _refuse(path, "not a regular file (a pipe, device or socket)")
            if status.st_size > largest:
                _refuse(path, f"larger than {largest / 2**20:,.0f} MiB")
            content = file.read(largest + 1)
    except FileNotFoundError as error:
        raise CheckpointError(f"{_shown(path)} does not exist; expected a checkpoint") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CheckpointError(f"{_shown(path)} cannot be read: {reason}") from error
    if not content:
        _refuse(path, "an empty file; its download or copy may have failed")
    return content


def load(content: bytes, path: Path) -> object:
    """Deserialise a checkpoint's bytes, after looking them through; `path` is for messages."""
    if content.startswith(b"PK\x03\x04"):
        _inspect_zip(content, path)
    elif _is_safetensors(content):
        return _load_safetensors(content, path)
    elif content.startswith(b"\x80"):
        _inspect_legacy(content, path)
    else:
        _refuse_unknown(content, path)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes can make torch raise anything
        raise CheckpointError(
            f"{_shown(path)} cannot be loaded as weights only ({_first_line(error)}); if you trust "
            f"where it comes from, {_advice(path)}"
        ) from error


def _weights(
    loaded: object,
    path: Path,
    sha256: str,
    size: int,
    config: Mapping[str, Any] | None = None,
    preprocessor: Mapping[str, Any] | None = None,
) -> Weights:
    found, under, notes = unwrap(loaded, _shown(path))
    tensors, more = sound_tensors(found, _shown(path), largest=4 * size + 64 * 2**20)
    return Weights(tensors, sha256, under, (*notes, *more), config or {}, preprocessor or {})


# --- what kind of file it is -----------------------------------------------------------------


def _inspect_zip(content: bytes, path: Path) -> None:
    """Refuse a zip archive that is not one of torch.save, or whose pickle is more than tensors."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _refuse_other_archives(archive, path)
            _check_members(archive, members, len(content), path)
            pickles = [m for m in members if PurePosixPath(m.filename).name == "data.pkl"]
            if len(pickles) != 1:
                _refuse(path, f"a zip archive with {len(pickles)} members data.pkl, expected one")
            if pickles[0].file_size > LARGEST_PICKLE:
                _refuse(path, "a torch archive whose pickle is larger than 64 MiB")
            found = _disassembled(io.BytesIO(archive.read(pickles[0])), path)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, struct.error) as error:
        raise CheckpointError(
            f"{_shown(path)} is a damaged zip archive ({error}); its download or copy may have "
            "broken off: get it again"
        ) from error
    except (NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{_shown(path)} is a zip archive that cannot be read ({_first_line(error)})"
        ) from error
    _refuse_foreign(found, path)


def _refuse_other_archives(archive: zipfile.ZipFile, path: Path) -> None:
    names = archive.namelist()
    inner = {name.partition("/")[2] for name in names}
    if any(name.endswith("serialized_exported_program.json") for name in names) or (
        "archive_format" in inner
    ):
        _refuse(
            path,
            "an exported program (.pt2), which has no safe loader; expected weights: save "
            "model.state_dict() instead",
        )
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        _refuse(
            path,
            "a TorchScript program, which would run code; expected weights: if you trust where it "
            f"comes from, {_advice(path)}",
        )
    if not any(PurePosixPath(name).name == "data.pkl" for name in names):
        what = "of numpy arrays" if names and names[0].endswith(".npy") else "of something else"
        shown = ", ".join(map(visible, names[:3])) or "nothing"
        _refuse(path, f"a zip archive {what} (it holds {shown}); expected one of torch.save")


def _check_members(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], size: int, path: Path
) -> None:
    """Refuse what torch.save never writes: ways to hide, to escape or to swell."""
    names = [member.filename for member in members]
    if len(names) > _MOST_MEMBERS:
        _refuse(path, f"a zip archive of {len(names):,} members, more than {_MOST_MEMBERS:,}")
    if len(set(names)) < len(names):
        _refuse(path, "a zip archive in which two members have the same name")
    for name in names:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name:
            _refuse(path, f"a zip archive with a member outside itself ({visible(name)})")
    if any(member.flag_bits & 0x41 for member in members):
        _refuse(path, "an encrypted zip archive: decrypt it first")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        _refuse(path, "a compressed zip archive, which torch.save never writes")
    if sum(member.file_size for member in members) > size:
        _refuse(path, "a zip archive whose members claim to be larger than itself")
    # Something before the first member, or between two: another file hidden in this one.
    if min(member.header_offset for member in members) != 0:
        _refuse(path, "a zip archive with something before its first member")


def _inspect_legacy(content: bytes, path: Path) -> None:
    """Refuse a pickle that torch.save did not write, or that is more than tensors.

    Before torch 1.6, torch.save wrote five pickles one after the other: a magic number, a version,
    the system, the object, the names of the storages; then the storages.
    """
    stream = io.BytesIO(content)
    first = _disassembled(stream, path)
    if first.first_integer != _MAGIC_NUMBER or first.globals:
        whole = f" that holds {_listed(first.foreign)}" if first.foreign else ""
        _refuse(
            path,
            f"a plain pickle{whole}; expected a file of torch.save: if you trust where it comes "
            f"from, {_advice(path)}",
        )
    for _ in range(4):
        _refuse_foreign(_disassembled(stream, path), path)


def _disassembled(stream: io.BytesIO, path: Path) -> Disassembly:
    try:
        return disassemble(stream)
    except MalformedPickleError as error:
        raise CheckpointError(
            f"{_shown(path)} holds a broken pickle ({_first_line(error)}); its download or copy "
            "may have broken off: get it again"
        ) from error


def _refuse_foreign(found: Disassembly, path: Path) -> None:
    if found.foreign:
        _refuse(
            path,
            f"a pickle that holds more than tensors: it would import {_listed(found.foreign)}; "
            "expected a state_dict: save model.state_dict() instead, or, if you trust where it "
            f"comes from, {_advice(path)}",
        )
    if found.protocol > 3:
        _refuse(
            path,
            f"a pickle of protocol {found.protocol}, which torch does not load safely; if you "
            f"trust where it comes from, {_advice(path)}",
        )


def _refuse_unknown(content: bytes, path: Path) -> NoReturn:
    start = content[:4096]
    for magic, what in _KNOWN:
        if start.startswith(magic):
            _refuse(path, what)
    if start[257:262] == b"ustar":
        _refuse(path, "a tar archive: unpack it first, or save again what torch 0.1 saved")
    if start[8:9] == b"{":
        length = int.from_bytes(start[:8], "little")
        if length > _LARGEST_HEADER:
            _refuse(path, f"a safetensors file whose header claims {length:,} bytes")
        _refuse(path, "a safetensors file that breaks off in its header: get it again")
    if re.match(rb"\s*<(!doctype|html|\?xml|head|body)", start, re.IGNORECASE):
        _refuse(path, "a web page, perhaps of a login or an error, saved under this name")
    try:
        found = disassemble(io.BytesIO(content[:LARGEST_PICKLE]))
    except MalformedPickleError:
        pass
    else:
        if found.globals:
            _refuse(path, f"a pickle of text that holds {_listed(tuple(sorted(found.globals)))}")
    text = start.decode("utf-8", errors="replace")
    plain = sum(character.isprintable() or character.isspace() for character in text)
    if plain > 0.95 * len(text) and "\0" not in text:
        line = visible(" ".join(text.split())[:60])
        _refuse(path, f"a text that begins {line!r}; expected a file of torch.save or safetensors")
    _refuse(path, "neither a file of torch.save nor safetensors, but bytes of an unknown kind")


# --- safetensors and folders -----------------------------------------------------------------


def _is_safetensors(content: bytes) -> bool:
    length = int.from_bytes(content[:8], "little")
    return content[8:9] == b"{" and length <= _LARGEST_HEADER and 8 + length <= len(content)


def _load_safetensors(content: bytes, path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load as load_safetensors

    length = int.from_bytes(content[:8], "little")
    try:
        # Readers differ in which of two equal names they believe.
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_without_duplicates)
        if len(header) > _MOST_MEMBERS:
            raise ValueError(f"{len(header):,} tensors")
        return dict(load_safetensors(content))
    except Exception as error:  # the library's own errors have no common base
        raise CheckpointError(
            f"{_shown(path)} is a damaged safetensors file ({_first_line(error)}); get it again"
        ) from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in its header")
    return found


def _read_folder(folder: Path) -> Weights:
    if not (folder / "config.json").exists():
        raise CheckpointError(
            f"{_shown(folder)} is a folder without config.json; expected a checkpoint file, or a "
            "folder of Hugging Face or timm with config.json and model.safetensors"
        )
    config = read_json(folder / "config.json")
    preset = folder / "preprocessor_config.json"
    preprocessor = read_json(preset) if preset.exists() else {}
    loaded: dict[str, object] = {}
    digest, size = hashlib.sha256(), 0
    for name in _weight_files(folder):
        content = read_bytes(folder / name)
        digest.update(content)
        size += len(content)
        part = load(content, folder / name)
        if not isinstance(part, Mapping) or loaded.keys() & part.keys():
            _refuse(folder / name, "no mapping, or one that repeats tensors of another shard")
        loaded.update(part)
    return _weights(loaded, folder, digest.hexdigest(), size, config, preprocessor)


def _weight_files(folder: Path) -> tuple[str, ...]:
    for name in _WEIGHT_FILES:
        if (folder / name).exists():
            return (name,)
    for name in _INDEX_FILES:
        if (folder / name).exists():
            places = read_json(folder / name).get("weight_map")
            files = set(places.values()) if isinstance(places, dict) and places else {None}
            for file in files:
                if not isinstance(file, str) or re.fullmatch(r"[\w.-]+", file) is None:
                    _refuse(folder / name, f"an index of shards that names {file!r}, no file here")
            return tuple(sorted(map(str, files)))
    raise CheckpointError(
        f"{_shown(folder)} has a config.json but neither {' nor '.join(_WEIGHT_FILES)}"
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a small file that holds one JSON object; CheckpointError if it does not."""
    try:
        found = json.loads(read_bytes(path, _LARGEST_CONFIG))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{_shown(path)} is not JSON: {error}") from error
    if not isinstance(found, dict):
        _refuse(path, "JSON, but no object of settings")
    return found


# --- words -----------------------------------------------------------------------------------


def _numpy_scalars() -> list[Any]:
    """Return the harmless constructors of numpy numbers, under every name they were saved by."""
    import numpy as np
    from numpy._core.multiarray import scalar

    dtypes = [getattr(np.dtypes, name.rpartition(".")[2], None) for name in sorted(NUMPY_SCALARS)]
    return [
        np.dtype,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        *(kind for kind in dtypes if kind is not None),
    ]


def _advice(path: Path) -> str:
    out = visible(path.with_suffix(".safetensors").name)
    return f"run `melaudit convert --i-trust-this-file {visible(path.name)} {out}`"


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(visible(name)[:80] for name in names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return visible(lines[0])[:160].rstrip(". ")


def _shown(path: Path) -> str:
    return visible(str(path))


def _refuse(path: Path, what: str) -> NoReturn:
    raise CheckpointError(f"{_shown(path)} is {what}")
