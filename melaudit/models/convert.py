"""Convert: extract the weights from files that are more than weights, and write safetensors.

Foreign objects in a pickle become inert stand-ins, so that neither their code nor anything that a
pickle would call is run. Only TorchScript and exported programs are loaded by torch itself, because
there is no other way to read them; that is why the command asks for trust.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import tempfile
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from melaudit.errors import CheckpointError
from melaudit.models.checkpoint import behind_fences, read_weights, require_safe_torch
from melaudit.models.confined import Answer
from melaudit.models.inspection import Kind, disassemblies, kind_of, read_bytes
from melaudit.models.messages import first_line, shown
from melaudit.models.pickles import CONTAINERS, DESCRIPTIVE, global_name
from melaudit.models.state_dicts import sound_tensors, unwrap
from melaudit.wording.names import visible
from melaudit.wording.sentences import many

_MAX_DEPTH = 6
"""Mappings within mappings that are turned into plain ones. Chosen: a round figure, not
measured."""
_EXPORTED = "torch.export.pt2_archive"
"""What torch.export.load imports; its compiler asks for a folder of temporary files."""


def convert(path: Path, out: Path) -> list[str]:
    """Write the weights in a trusted file as safetensors, and return what was found in it.

    This reads what `read_weights` reads, and also pickles with foreign objects, pickled modules,
    TorchScript and exported programs (.pt2). `out` must not exist; it is written completely or not
    at all. Raises CheckpointError if there are no weights, or `out` cannot be written.
    """
    require_safe_torch()
    if out.exists() or out.is_symlink():
        raise CheckpointError(f"{shown(out)} exists already; expected the name of a new file")
    try:
        weights = read_weights(path)
    except CheckpointError as error:
        if not path.is_file():
            raise
        tensors, messages = _trusted(path, error)
    else:
        tensors = dict(weights.tensors)
        messages = ["It holds weights only, which can be read as they are.", *weights.notes]
    _write(tensors, out)
    total = sum(tensor.numel() for tensor in tensors.values())
    return [
        *messages,
        f"{many(len(tensors), 'tensor')}, {total:,} numbers, written to {shown(out)}.",
    ]


def _trusted(path: Path, refusal: CheckpointError) -> tuple[dict[str, Tensor], list[str]]:
    """Read the weights of a file that `read_weights` refused, if trust is all that is missing."""
    content = read_bytes(path)
    kind = kind_of(content, path)
    if kind is Kind.SAFETENSORS:
        raise refusal
    work = functools.partial(opened, content, kind, path)
    needs = [_EXPORTED] if kind is Kind.EXPORTED else []
    tensors, said = behind_fences(work, path, len(content), needs)
    return tensors, list(map(str, said["messages"]))


def opened(content: bytes, kind: Kind, path: Path) -> Answer:
    """Open a trusted file, and choose and check its weights; raises CheckpointError.

    What is stored in a program may run here, so `convert` does it in a child process.
    """
    messages: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that TorchScript is deprecated
            if kind is Kind.TORCHSCRIPT:
                program = torch.jit.load(io.BytesIO(content), map_location="cpu")
                loaded: object = program.state_dict()
            elif kind is Kind.EXPORTED:
                loaded = dict(torch.export.load(io.BytesIO(content)).state_dict)
            else:
                disassemblies(content, kind, path)  # refuses pickles built to exhaust memory
                loaded, messages = _without_foreign_objects(content, kind)
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:  # hostile or damaged bytes can make torch raise anything
        raise CheckpointError(
            f"{shown(path)} cannot be read ({type(error).__name__}: {first_line(error)})"
        ) from error
    if kind in (Kind.TORCHSCRIPT, Kind.EXPORTED):
        messages = [f"It is a program ({kind.value}); its weights were taken, its code was not."]
    found, _, notes = unwrap(loaded, shown(path))
    tensors, more = sound_tensors(found, shown(path), len(content))
    return tensors, {"messages": [*messages, *notes, *more]}


# --- pickles ---------------------------------------------------------------------------------


class _StandIn(dict[Any, Any]):
    """A stand-in for an object whose class is not trusted; it keeps what it receives."""

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any, **_: Any) -> _StandIn:
        self = super().__new__(cls)
        self.arguments, self.state = arguments, None
        return self

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *arguments: Any) -> _StandIn:
        return _StandIn(*arguments)

    def append(self, item: Any) -> None:
        """Accept an item as a list does."""

    add = append

    def extend(self, items: Any) -> None:
        """Accept items as a list does."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # dict, which it also is, has none

    def __eq__(self, other: object) -> bool:
        return self is other


def _without_foreign_objects(content: bytes, kind: Kind) -> tuple[object, list[str]]:
    """Unpickle with stand-ins for foreign objects; also return messages that name them."""
    foreign: dict[str, type[_StandIn]] = {}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            whole = global_name(module, name)
            if whole in DESCRIPTIVE | CONTAINERS:
                return super().find_class(module, name)
            if whole == "torch.storage._load_from_bytes":  # it would unpickle anything
                return _numbers
            return foreign.setdefault(whole, type("StandIn", (_StandIn,), {}))

    def load(file: IO[bytes], **options: Any) -> Any:
        return Unpickler(file, **options).load()

    inert = types.ModuleType("inert_pickle")
    vars(inert).update(Unpickler=Unpickler, load=load)
    if kind is Kind.PICKLE:
        loaded = load(io.BytesIO(content), encoding="latin1")
    else:
        loaded = torch.load(
            io.BytesIO(content),
            map_location="cpu",
            pickle_module=inert,
            weights_only=False,
            encoding="latin1",  # of strings of Python 2: it keeps every byte
        )
    names = sorted(foreign)
    if not names:
        return loaded, []
    shown = ", ".join(visible(name)[:80] for name in names[:6])
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    message = f"Foreign objects were left out, and their code was not run: {shown}{more}."
    return _plain(loaded, _MAX_DEPTH, {}), [message]


def _numbers(content: bytes) -> object:
    """Read the storage of a tensor that was pickled without torch.save."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _plain(value: Any, depth: int, done: dict[int, tuple[int, Any]]) -> Any:
    """Turn stand-ins into mappings: modules into state_dicts, other objects into attributes.

    `done` keeps what was turned before and how deep, because objects may refer to each other.
    """
    if depth == 0 or not isinstance(value, Mapping):
        return value
    known = done.get(id(value))
    if known is not None and known[0] >= depth:
        return known[1]
    plain: dict[Any, Any] = {}
    done[id(value)] = depth, plain
    contents: Mapping[Any, Any] = value
    if isinstance(value, _StandIn):
        attributes = _attributes(value)
        if _is_module(attributes):
            plain.update(_state_dict(attributes, "", _MAX_DEPTH * 10))
            return plain
        contents = dict(value) or attributes
    for key, inner in contents.items():
        plain[key] = _plain(inner, depth - 1, done)
    return plain


def _attributes(stand_in: _StandIn) -> Mapping[Any, Any]:
    """Return the attributes of the object; an fx.GraphModule gets them as an argument."""
    for candidate in (stand_in.state, *stand_in.arguments):
        if isinstance(candidate, tuple) and len(candidate) == 2:  # an object with slots
            candidate = candidate[0]
        if isinstance(candidate, Mapping):
            return candidate
    return {}


def _is_module(attributes: Mapping[Any, Any]) -> bool:
    return all(
        isinstance(attributes.get(key), Mapping) for key in ("_parameters", "_buffers", "_modules")
    )


def _state_dict(
    attributes: Mapping[Any, Any], prefix: str, depth: int
) -> Iterator[tuple[str, Tensor]]:
    """Yield the items of a module's state_dict, in its order (torch/nn/modules/module.py)."""
    transient = attributes.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, tensor in attributes[kind].items():
            if isinstance(tensor, Tensor) and not (kind == "_buffers" and name in transient):
                yield f"{prefix}{name}", tensor
    for name, child in attributes["_modules"].items() if depth else ():
        inner = _attributes(child) if isinstance(child, _StandIn) else {}
        if _is_module(inner):
            yield from _state_dict(inner, f"{prefix}{name}.", depth - 1)


# --- writing ---------------------------------------------------------------------------------


def _write(tensors: Mapping[str, Tensor], out: Path) -> None:
    """Write safetensors under a temporary name, and rename the file when it is complete."""
    from safetensors.torch import save

    # safetensors refuses tensors that share memory, as tied weights do.
    content = save({key: tensor.clone() for key, tensor in tensors.items()}, {"format": "pt"})
    temporary = ""
    try:
        number, temporary = tempfile.mkstemp(dir=out.parent, prefix=".melaudit-", suffix=".part")
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)  # mkstemp makes files private to their owner
        Path(temporary).replace(out)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise CheckpointError(f"{shown(out)} cannot be written: {error.strerror}") from error
