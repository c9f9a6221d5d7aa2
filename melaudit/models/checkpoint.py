"""Checkpoints: read the tensors of a file or folder without running anything in it.

The bytes are read and hashed here. They are inspected and loaded in a child process, see
`confined`, from which names, shapes and numbers come back.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from melaudit.errors import CheckpointError
from melaudit.models.confined import Answer, confined
from melaudit.models.fences import Limits
from melaudit.models.inspection import Kind, kind_of, read_bytes, require_weights_only
from melaudit.models.messages import first_line, refuse, shown, trusting
from melaudit.models.pickles import NUMPY_SCALARS
from melaudit.models.state_dicts import sound_tensors, unwrap
from melaudit.wording.names import visible

_MIN_TORCH = (2, 10)
"""The first version without CVE-2026-24747."""
_MAX_CONFIG_BYTES = 4 * 2**20
"""Chosen: a round figure, not measured."""

_MAX_GROWTH, _SLACK_BYTES = 16, 2**28
"""Bytes of all tensors: so many times their file, because what it keeps as float8 becomes float32
and tensors may share their numbers, plus slack for small files."""
_MEMORY_GROWTH, _MEMORY_SLACK = 8, 2 * 2**30
"""Memory: so many times the file, plus a constant. Chosen: float8 weights take 5 times their size
(as they are and as float32), the largest pickle that is read 1.2 GiB."""
_SECONDS, _SECONDS_A_GIB = 120, 60
"""Processor time. Chosen: ten times what the slowest files take."""

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_INDEX_FILES = tuple(f"{name}.index.json" for name in _WEIGHT_FILES)


class _NumpyNumber:
    """A stand-in for a numpy number such as a best accuracy, which is not a weight.

    numpy itself would trust what a file says about the size and the flags of a number.
    """

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


@dataclass(frozen=True, eq=False)
class Weights:
    """The tensors of a checkpoint: float32, finite, in memory."""

    tensors: Mapping[str, Tensor]
    sha256: str
    """Of the bytes that the tensors were read from; for a folder, of its shards one after
    another."""
    found_under: str
    """The key, or path of keys, that held them: "state_dict"; empty if there was none."""
    notes: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    """A folder's config.json; empty for a file."""
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    """A folder's preprocessor_config.json, if there is one."""


def read_weights(path: Path) -> Weights:
    """Read the tensors of a checkpoint: a file of torch.save or safetensors, or a folder of these.

    A folder is one of Hugging Face or timm: config.json beside its weights. A pickle is inspected
    before it is loaded, and then loaded with weights_only; there is no other way. Both happen in a
    child process that may neither write, nor start anything, nor use a network, as far as the
    platform can keep it from that.

    Raises CheckpointError, with a message of one line, for anything else.
    """
    require_safe_torch()
    config, preprocessor = _configs(path) if path.is_dir() else ({}, {})
    names = [path / name for name in _weight_files(path)] if path.is_dir() else [path]
    files = [(name, read_bytes(name)) for name in names]
    size = sum(len(content) for _, content in files)
    tensors, said = behind_fences(functools.partial(load_tensors, files, path), path, size)
    digest = hashlib.sha256()
    for _, content in files:
        digest.update(content)
    under, notes = str(said["under"]), tuple(map(str, said["notes"]))
    return Weights(tensors, digest.hexdigest(), under, notes, config, preprocessor)


def behind_fences(
    work: Callable[[], Answer], path: Path, size: int, needs: Sequence[str] = ()
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Do `confined` work on a file of so many bytes, within limits that fit its size."""
    seconds = _SECONDS + _SECONDS_A_GIB * math.ceil(size / 2**30)
    limits = Limits(_MEMORY_GROWTH * size + _MEMORY_SLACK, seconds)
    return confined(work, shown(path), limits, _MAX_GROWTH * size + _SLACK_BYTES, needs)


def load_tensors(files: Sequence[tuple[Path, bytes]], path: Path) -> Answer:
    """Load the files of a checkpoint, and choose and check its weights; raises CheckpointError.

    This parses bytes of unknown origin: `read_weights` does it in a child process.
    """
    loaded = _merged(files) if path.is_dir() else _load(files[0][1], path)
    found, under, notes = unwrap(loaded, shown(path))
    tensors, more = sound_tensors(found, shown(path), sum(len(content) for _, content in files))
    return tensors, {"under": under, "notes": [*notes, *more]}


def require_safe_torch() -> None:
    """Raise CheckpointError if this torch can run code in weights-only mode (CVE-2026-24747)."""
    parts = re.findall(r"\d+", torch.__version__)[:2]
    if tuple(map(int, parts)) < _MIN_TORCH:
        raise CheckpointError(
            f"torch {torch.__version__} can be made to run code by a hostile checkpoint; expected "
            "2.10 or newer: pip install --upgrade torch"
        )


def _load(content: bytes, path: Path) -> object:
    """Inspect the bytes of a checkpoint, then deserialise them; `path` is for messages."""
    kind = kind_of(content, path)
    require_weights_only(content, kind, path)
    try:
        if kind is Kind.SAFETENSORS:
            from safetensors.torch import load

            return dict(sorted(load(content).items()))  # their order differs from call to call
        inert: list[Any] = [(_NumpyNumber, name) for name in sorted(NUMPY_SCALARS)]
        with torch.serialization.safe_globals(inert), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes can make torch and safetensors raise anything
        raise CheckpointError(
            f"{shown(path)} cannot be loaded as weights {_reason(error, path)}"
        ) from error


def _reason(error: Exception, path: Path) -> str:
    """Say why torch or safetensors refused the file, and what to do."""
    if isinstance(error, pickle.UnpicklingError):  # an opcode that torch.save never writes
        inner = re.search(r"WeightsUnpickler error: (.*)", str(error))
        return f"({visible(inner[1])[:160] if inner else first_line(error)}); {trusting(path)}"
    return f"({first_line(error)}): it is damaged, get it again"


def _configs(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a folder's config.json and preprocessor_config.json; {} for none of the latter."""
    if not (folder / "config.json").exists():
        raise CheckpointError(
            f"{shown(folder)} is a folder without config.json; expected a checkpoint file, or a "
            "folder of Hugging Face or timm with config.json and model.safetensors"
        )
    preset = folder / "preprocessor_config.json"
    return _read_json(folder / "config.json"), _read_json(preset) if preset.exists() else {}


def _merged(shards: Sequence[tuple[Path, bytes]]) -> dict[object, object]:
    loaded: dict[object, object] = {}
    for path, content in shards:
        shard = _load(content, path)
        if not isinstance(shard, Mapping) or loaded.keys() & shard.keys():
            refuse(path, "no mapping, or one that repeats tensors of another shard")
        loaded.update(shard)
    return loaded


def _weight_files(folder: Path) -> tuple[str, ...]:
    """Return the names of the weight files of a folder, in alphabetical order."""
    for name in _WEIGHT_FILES:
        if (folder / name).exists():
            return (name,)
    for name in _INDEX_FILES:
        if (folder / name).exists():
            places = _read_json(folder / name).get("weight_map")
            files = set(map(str, places.values())) if isinstance(places, dict) and places else {""}
            for file in sorted(files):
                if re.fullmatch(r"\w[\w.-]*", file) is None:
                    refuse(
                        folder / name,
                        f"an index with a shard {file[:80]!r}; expected files of its folder",
                    )
            return tuple(sorted(files))
    raise CheckpointError(
        f"{shown(folder)} has a config.json but no weights; expected {' or '.join(_WEIGHT_FILES)}"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bytes(path, _MAX_CONFIG_BYTES))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{shown(path)} is not JSON ({first_line(error)})") from error
    if not isinstance(found, dict):
        refuse(path, "JSON, but no object of settings")
    return found
