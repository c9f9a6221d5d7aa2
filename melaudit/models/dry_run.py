"""A dry run: learn what images a model takes and what it returns, by running it on noise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from melaudit.errors import CheckpointError, RelevanceError, out_of_memory
from melaudit.models.messages import described
from melaudit.models.output_choice import ModelOutput, outputs_of
from melaudit.relevance.model.outputs import find_logits
from melaudit.wording.names import visible

_COMMON_SIZES = (224, 128, 256, 64)
"""Sides of images, in pixels, that every model is tried with; the others only if none of these
runs."""
_OTHER_SIZES = (
    299,
    384,
    512,
    448,
    192,
    96,
    32,
    28,
    160,
    240,
    260,
    288,
    300,
    320,
    336,
    380,
    456,
    528,
)
RGB, GREY = 3, 1


@dataclass(frozen=True)
class DryRun:
    """What a model takes and returns."""

    outputs: int
    """Number of logits."""
    channels: int
    """Of the images: 3 (RGB) or 1 (grey)."""
    input_size: int | None
    """The only side in pixels that the model accepts; None if it accepts several."""
    returned: tuple[ModelOutput, ...]
    """Everything that could be its logits, the likeliest first."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Attempt:
    """One run on noise."""

    outputs: int | None
    """Number of logits; None if the model did not run, or returned none."""
    returned: tuple[ModelOutput, ...] = ()
    error: Exception | None = None


def dry_run(model: nn.Module, image_size: int | None = None) -> DryRun:
    """Run a model in eval mode on noise, in colour and, if that fails, in grey.

    `image_size` is the side in pixels that the user gave, which is tried first. Raises
    CheckpointError with the model's own reason if no size works.
    """
    first = image_size or _COMMON_SIZES[0]
    for channels in (RGB, GREY):
        found = _run_with(model, channels, image_size)
        if found is not None:
            return found
    _refuse_channels(model)
    wanted = GREY if input_channels(model) == GREY else RGB
    error = attempt(model, first, wanted).error
    if error is None or isinstance(error, RelevanceError):
        raise CheckpointError(
            f"the model returned no logits (N, K) for images (N, {wanted}, {first}, {first}) or of "
            f"other sizes{f': {error}' if error else ''}"
        )
    if out_of_memory(error):  # which is no fault of the model
        raise error
    raise CheckpointError(
        f"the model failed on images (N, {wanted}, {first}, {first}), and on other sizes: "
        f"{described(error)}. {_remedy(error, image_size)}"
    )


def _run_with(model: nn.Module, channels: int, image_size: int | None) -> DryRun | None:
    sizes = tuple(dict.fromkeys((*((image_size,) if image_size else ()), *_COMMON_SIZES)))
    ran = {side: run for side in sizes if (run := attempt(model, side, channels)).outputs}
    if not ran:
        tried = ((side, attempt(model, side, channels)) for side in _OTHER_SIZES)
        ran = dict([each for each in [next((t for t in tried if t[1].outputs), None)] if each])
    if not ran:
        return None
    counts = sorted({run.outputs for run in ran.values() if run.outputs})
    chosen = ran.get(image_size or 0) or next(iter(ran.values()))
    if len(counts) > 1 and image_size not in ran:
        raise CheckpointError(
            f"the model returns {' or '.join(map(str, counts))} outputs depending on the size of "
            "the image; expected logits (N, K), one column per class: pass --image-size as in "
            "training"
        )
    assert chosen.outputs is not None
    notes = []
    if channels == GREY:
        notes.append(
            "The model takes images of one channel: they are turned into grey (ITU-R 601)."
        )
    side = next(iter(ran)) if len(ran) == 1 else None
    if side is not None:
        notes.append(f"The model takes images of {side} x {side} pixels only.")
    return DryRun(chosen.outputs, channels, side, chosen.returned, tuple(notes))


def attempt(model: nn.Module, side: int, channels: int = RGB) -> _Attempt:
    """Run a model on two images of noise of this side."""
    parameter = next(model.parameters(), torch.zeros(1))
    noise = torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            returned = model(noise.to(parameter.device, parameter.dtype))
            logits = find_logits(returned)
    except Exception as error:  # a model can refuse a size in any way
        return _Attempt(None, error=error)
    if logits.shape[0] != 2:
        return _Attempt(None)
    return _Attempt(logits.shape[1], outputs_of(returned))


def input_channels(model: nn.Module) -> int | None:
    """Return the channels that the first convolution takes; None for a model without one."""
    convolutions = (m for m in model.modules() if isinstance(m, nn.Conv2d))
    first = next(convolutions, None)
    return None if first is None else first.in_channels


def _refuse_channels(model: nn.Module) -> None:
    channels = input_channels(model)
    if channels in (None, RGB, GREY):
        return
    raise CheckpointError(refusal_of_channels(channels))


def refusal_of_channels(channels: int | None) -> str:
    """Say that images of so many channels cannot be read, and what to do."""
    return (
        f"the model takes images of {channels} channels; image files are read here as 3 (RGB) or 1 "
        "(grey). Give --factory with a model that takes RGB and makes its other channels in its "
        "own forward, for example torch.cat([x, extra(x)], 1)"
    )


def _remedy(error: Exception, image_size: int | None) -> str:
    """Say what to do about an error of a model's forward."""
    said = str(error)
    missing = re.search(r"missing (\d+) required positional arguments?: (.+)", said)
    if isinstance(error, TypeError) and missing:
        names = visible(missing[2].strip())
        which = f"a second input {names}" if missing[1] == "1" else f"further inputs {names}"
        return (
            f"The model needs {which}, but an audit shows it images alone: give --factory with a "
            "module whose forward(x) fills in the rest, for example with the values of one patient"
        )
    if re.search(r"\b(c10::)?(Half|BFloat16)\b|torch\.(half|float16|bfloat16)", said):
        return (
            "Its weights were loaded as float32, in which the audit computes, but its forward "
            "turns images into half precision: remove the .half() or .bfloat16() there, or write "
            "x.to(weight.dtype)"
        )
    size: Iterable[str] = () if image_size else ("pass --image-size as in training",)
    return "Mend its forward, or " + "; ".join(
        (*size, "give --factory with a model that takes images (N, 3, H, W)")
    )
