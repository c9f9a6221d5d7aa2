"""Factories: build a model with a user's own function."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

from torch import nn

from melaudit.errors import CheckpointError
from melaudit.models.messages import described
from melaudit.wording.names import visible

_NOT_FETCHED = "LocalEntryNotFoundError"
"""The error of huggingface_hub, by name: it need not be installed."""


def build_from_factory(spec: str) -> nn.Module:
    """Call the function that `module:function` or `path/to/file.py:function` names.

    This runs the user's code. Raises CheckpointError if the spec is malformed, nothing is found
    under it, or the function does not return a module.
    """
    source, colon, name = spec.rpartition(":")
    if not colon or not source or not all(part.isidentifier() for part in name.split(".")):
        raise CheckpointError(
            f"--factory {visible(spec)!r} is malformed; expected module:function or "
            "path/to/file.py:function, a function that builds the model without arguments"
        )
    function: Any = _import(source, spec)
    for part in name.split("."):
        if not hasattr(function, part):
            known = [n for n, v in vars(function).items() if callable(v) and not n.startswith("_")]
            raise CheckpointError(
                f"--factory {visible(spec)!r}: there is no {part} in {visible(source)}; it has "
                f"{', '.join(known[:12]) or 'no functions'}"
            )
        function = getattr(function, part)
    model = _guarded(function, spec, "called without arguments")
    if not isinstance(model, nn.Module):
        raise CheckpointError(
            f"--factory {visible(spec)!r} returned a {type(model).__name__}; expected a "
            "torch.nn.Module"
        )
    return model


def _import(source: str, spec: str) -> ModuleType:
    if source.endswith(".py") or "/" in source or "\\" in source:
        path = Path(source).expanduser()
        if not path.is_file():
            raise CheckpointError(
                f"--factory {visible(spec)!r}: there is no file {visible(source)}"
            )
        # Worker processes must find the objects of the file under the same name.
        name = f"melaudit_factory_{path.stem}"
        described = importlib.util.spec_from_file_location(name, path)
        if described is None or described.loader is None:
            raise CheckpointError(
                f"--factory {visible(spec)!r}: {visible(source)} is not a Python file (.py)"
            )
        module = importlib.util.module_from_spec(described)
        sys.modules[name] = module
        load = described.loader.exec_module
        with _importable(path.resolve().parent):
            _guarded(lambda: load(module), spec, "imported")
        return module
    with _importable(Path.cwd()):
        found = _guarded(lambda: importlib.import_module(source), spec, "imported")
    assert isinstance(found, ModuleType)
    return found


def _guarded(function: Callable[[], object], spec: str, done: str) -> object:
    try:
        return function()
    except Exception as error:  # a user's code can raise anything
        raise CheckpointError(
            f"--factory {visible(spec)!r} failed when {done}: {described(error)}{_way_out(error)}"
        ) from error


def _way_out(error: Exception) -> str:
    """Say what to do where a builder asked a network for weights and did not get them."""
    if isinstance(error, (URLError, ConnectionError)) or type(error).__name__ == _NOT_FETCHED:
        return (
            "; it asked a network for something. Weights come from the checkpoint: let it build "
            "the network without them (pretrained=False, weights=None)"
        )
    return ""


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the modules of a folder importable, as they are for a script in that folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
