"""Factories: build a model with a user's own function, and learn its outputs by running it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from melaudit.errors import CheckpointError, RelevanceError
from melaudit.models.messages import first_line
from melaudit.relevance.model.outputs import find_logits
from melaudit.wording.names import visible

_COMMON_SIZES = (224, 128, 256, 64)
"""Sides of images, in pixels, that every model is tried with; the others only if none of these
runs."""
_OTHER_SIZES = (299, 384, 512, 448, 192, 96, 32, 160, 240, 260, 288, 300, 320, 336, 380, 456, 528)


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
            f"--factory {visible(spec)!r} failed when {done}: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the modules of a folder importable, as they are for a script in that folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def run_on_noise(model: nn.Module) -> tuple[int, int | None, tuple[str, ...]]:
    """Run a model in eval mode on noise: return its number of outputs, its input size, and notes.

    The size is the only side in pixels that the model accepts, or None if it accepts several. If no
    size works, the outputs are those of the last linear layer. Raises CheckpointError if there is
    no such layer either.
    """
    outputs = {side: found for side in _COMMON_SIZES if (found := outputs_at(model, side))}
    if not outputs:
        tried = ((side, outputs_at(model, side)) for side in _OTHER_SIZES)
        outputs = dict([next(((side, found) for side, found in tried if found), (0, 0))])
    counts = sorted({found for found in outputs.values() if found})
    if len(counts) > 1:
        raise CheckpointError(
            f"the model returns {' or '.join(map(str, counts))} outputs depending on the size of "
            "the image; expected logits (N, K), one column per class"
        )
    if counts:
        if len(outputs) > 1:
            return counts[0], None, ()
        (side,) = outputs
        return counts[0], side, (f"The model takes images of {side} x {side} pixels only.",)
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1:]
    if not last:
        raise CheckpointError(
            "the model returned no logits (N, K) for images (N, 3, H, W) of "
            f"{', '.join(map(str, _COMMON_SIZES))} or other sizes, and has no linear layer"
        )
    note = (
        "The model could not be run on images of any usual size; its outputs are taken to be "
        f"those of its last linear layer, {last[0].out_features}."
    )
    return last[0].out_features, None, (note,)


def outputs_at(model: nn.Module, side: int) -> int | None:
    """Return the number of logits for images of this side, or None if the model does not run."""
    parameter = next(model.parameters(), torch.zeros(1))
    noise = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            logits = find_logits(model(noise.to(parameter.device, parameter.dtype)))
    except RelevanceError:
        return None
    except Exception:  # a model can refuse a size in any way
        return None
    return logits.shape[1] if logits.shape[0] == 2 else None
