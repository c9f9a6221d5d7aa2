"""What the model's outputs are taken for, where it decides, and whether one image decides them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from melaudit.choices import OutputKind
from melaudit.errors import CheckpointError, ConfigurationError, out_of_memory
from melaudit.images.imagefile import Read, read_image
from melaudit.images.preprocessing import Preprocessing
from melaudit.models.architectures import LoadedModel
from melaudit.relevance.model.deciding import Last, Seen, as_logits, look_at_outputs
from melaudit.relevance.model.outputs import find_logits
from melaudit.relevance.repeatability import MAX_DIFFERENCE, Unrepeatable, unrepeatable
from melaudit.wording.figures import figure
from melaudit.wording.names import visible

LOOKED_AT = 4
"""Images on which the bare model is tried. Chosen: a round figure, not measured."""

_SIGMOIDS = (Last.SIGMOID, Last.LOG_SIGMOID)

_SIDE = 64
"""Of the pictures of noise that stand in where no image can be read, in pixels."""


def first_inputs(
    paths: Iterable[str], preprocessing: Preprocessing, read: Read = read_image
) -> Tensor:
    """Return the first readable images as the model's input (N, C, H, W), N at least 2.

    `read` decodes them. Pictures of noise stand in for what is missing.
    """
    pictures = []
    for path in paths:
        image = read(path).image
        if image is not None:
            pictures.append(image)
        if len(pictures) == LOOKED_AT:
            break
    rng = np.random.default_rng(0)
    while len(pictures) < 2:
        pictures.append(rng.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8))
    return torch.stack([preprocessing.apply(picture) for picture in pictures])


class Answers(Enum):
    """How several outputs of a model go together."""

    EXCLUSIVE = "their sum is 1"
    INDEPENDENT = "each has a sigmoid of its own"
    UNKNOWN = "logits of either kind, or a single output"


def answers_of(loaded: LoadedModel, x: Tensor) -> Answers:
    """Return how the outputs of a model on images x (N, C, H, W) go together."""
    loaded.model.eval()
    try:
        seen = look_at_outputs(loaded.model, x, loaded.outputs)
    except Exception as error:  # whatever else fails here is told where outputs are understood
        if out_of_memory(error):
            raise
        return Answers.UNKNOWN
    if seen.outputs == 1:
        return Answers.UNKNOWN
    if seen.sum_to_one or seen.last in (Last.SOFTMAX, Last.LOG_SOFTMAX):
        return Answers.EXCLUSIVE
    return Answers.INDEPENDENT if seen.last in _SIGMOIDS else Answers.UNKNOWN


def answering(loaded: LoadedModel, label: int) -> LoadedModel:
    """Return a multi-label model reduced to its output number `label`, of which it makes a logit.

    Its other outputs are not looked at any more.
    """
    model = as_logits(loaded.model, loaded.outputs, probabilities=False, column=label)
    return dataclasses.replace(loaded, model=model, outputs=1, returned=())


def strongest_output(loaded: LoadedModel, x: Tensor) -> int:
    """Return which output of a model is the largest on an image x (1, C, H, W)."""
    with torch.no_grad():
        return int(find_logits(loaded.model.eval()(x), loaded.outputs).argmax())


def understood(loaded: LoadedModel, x: Tensor, kind: OutputKind) -> LoadedModel:
    """Return the model with logits for outputs, and notes on what its outputs were taken for.

    x (N, C, H, W), at least 2 images. Raises CheckpointError for a model that is no function of
    one image, and for outputs of which it is not known how they decide.
    """
    found = unrepeatable(loaded.model, x, loaded.outputs)
    if found is not None:
        raise CheckpointError(_refusal(found))
    loaded.model.eval()
    unseen: tuple[str, ...] = ()
    try:
        seen = look_at_outputs(loaded.model, x, loaded.outputs)
    except Exception as error:  # the model ran before: what fails here is following its operations
        if out_of_memory(error):
            raise
        seen = Seen(loaded.outputs, Last.OTHER, False, False)
        unseen = (
            "How the model comes to its outputs could not be followed "
            f"({type(error).__name__}: {visible(str(error))}), so they are taken for logits; if "
            "they are probabilities, pass --outputs probabilities.",
        )
    probabilities = _are_probabilities(seen, kind)
    if probabilities and not seen.in_unit_range and seen.last is not Last.LOG_SIGMOID:
        raise ConfigurationError(
            "--outputs probabilities was given, but the model's outputs do not lie within 0 and 1; "
            "pass --outputs logits or leave it out"
        )
    notes = (*loaded.notes, *(unseen if kind is OutputKind.AUTO else ()))
    notes += _note(seen, kind, probabilities)
    known = dataclasses.replace(
        loaded,
        notes=notes,
        meaning=_meaning(seen, probabilities),
        doubts=(*loaded.doubts, *_doubt(seen, kind, probabilities)),
    )
    if not (probabilities or _shifted(seen, kind)):
        return known
    model = as_logits(loaded.model, loaded.outputs, probabilities=True)
    return dataclasses.replace(known, model=model)


def _shifted(seen: Seen, kind: OutputKind) -> bool:
    """Whether outputs are logits less one number of each image, which maps would explain too."""
    return kind is OutputKind.AUTO and seen.last is Last.LOG_SOFTMAX


def operated(
    loaded: LoadedModel, threshold: float | None, positive: int | None, classes: tuple[str, ...]
) -> LoadedModel:
    """Return the model with its decision boundary where the threshold is; with None, as it is.

    Raises ConfigurationError where a threshold means nothing.
    """
    if threshold is None:
        return loaded
    if loaded.num_classes != 2:
        raise ConfigurationError(
            f"--threshold {threshold:g} was given for a model of {loaded.num_classes} classes; it "
            "is for models of two: leave it out"
        )
    if positive is None:
        raise ConfigurationError(
            f"--threshold {threshold:g} is a probability of the positive class; say which it is, "
            f"for example --positive {classes[1]}"
        )
    by = math.log(threshold / (1 - threshold))
    if loaded.outputs == 1:
        shift: tuple[float, ...] = (by if positive == 1 else -by,)
    else:
        shift = tuple(by if column == positive else 0.0 for column in range(2))
    note = (
        f"The model decides for {classes[positive]} from a probability of {threshold:g} on "
        "(--threshold or operating_threshold); logits are counted from there."
    )
    model = as_logits(loaded.model, loaded.outputs, probabilities=False, shift=shift)
    return dataclasses.replace(
        loaded,
        model=model,
        shift=shift,
        meaning=f"{loaded.meaning}; {classes[positive]} from a probability of {threshold:g} on",
        notes=(*loaded.notes, note),
    )


def _are_probabilities(seen: Seen, kind: OutputKind) -> bool:
    """Decide what outputs are; CheckpointError where none of it is an answer."""
    if kind is not OutputKind.AUTO:
        return kind is OutputKind.PROBABILITIES
    if seen.outputs == 1 and seen.last in (Last.SOFTMAX, Last.LOG_SOFTMAX):
        raise CheckpointError(
            f"the model ends in a {seen.last} over one output, which is the same for every image; "
            "end it in a sigmoid, or return the logit"
        )
    return seen.probabilities


def _note(seen: Seen, kind: OutputKind, probabilities: bool) -> tuple[str, ...]:
    """Return what the outputs were taken for, and which option takes them for something else."""
    by_user = kind is not OutputKind.AUTO
    if probabilities:
        because = (
            "--outputs says so"
            if by_user
            else f"the model ends in a {seen.last}"
            if seen.last is not Last.OTHER
            else "they lie within 0 and 1 and sum to 1"
        )
        explained = (
            f"what goes into the {seen.last}"
            if seen.last is not Last.OTHER
            else "their log-odds"
            if seen.outputs == 1
            else "their logarithms"
        )
        boundary = "at a probability of 0.5" if seen.outputs == 1 else "for the largest"
        other = "" if by_user else "; --outputs logits takes them for logits"
        if seen.outputs > 1 and seen.last in _SIGMOIDS and not seen.sum_to_one:
            other += "; --task multi-label audits each output as a finding of its own"
        return (
            f"The model's outputs are taken for probabilities: {because}. The model itself "
            f"decides {boundary}, and {explained} is explained{other}.",
        )
    if by_user:
        return ("The model's outputs are taken for logits: --outputs says so.",)
    if seen.last is Last.LOG_SOFTMAX:
        return (
            "The model ends in a log-softmax: what goes into the log-softmax is explained; "
            "--outputs logits explains the logarithms of the probabilities.",
        )
    return ()


def _meaning(seen: Seen, probabilities: bool) -> str:
    """Say in a few words what the outputs are and how they decide."""
    how = "" if seen.last is Last.OTHER else f" of a {seen.last}"
    if seen.outputs == 1:
        kind, decides = ("a probability", "0.5") if probabilities else ("a logit", "0")
        return f"{kind}{how}: class 1 from {decides} on"
    kind = "probabilities" if probabilities else "logits"
    return f"{seen.outputs} {kind}{how}: the largest decides"


def _doubt(seen: Seen, kind: OutputKind, probabilities: bool) -> tuple[str, ...]:
    """Say why a single output may be a probability although no sigmoid makes it."""
    if probabilities or kind is not OutputKind.AUTO:
        return ()
    if seen.outputs > 1 or not seen.in_unit_range:
        return ()
    return (
        "The model's output lies within 0 and 1 on all images that were tried, yet no sigmoid "
        "makes it. It was taken for a logit, so the model decides at 0; were it a probability, it "
        "would decide at 0.5. Say which it is: --outputs probabilities or --outputs logits.",
    )


def _refusal(found: Unrepeatable) -> str:
    causes = ", ".join(found.causes)
    by = (
        f"by {figure(100 * found.difference)} % of the largest logit (more than "
        f"{100 * MAX_DIFFERENCE:g} % is no rounding)"
    )
    if found.random:
        return (
            "the model does not repeat itself: run twice on the same "
            f"{found.images} images, its outputs differ {by}. Random in evaluation mode: "
            f"{causes or 'nothing that is known to be'}. No map or decision of it can be trusted; "
            "make it fixed when model.training is False, for instance "
            "F.dropout(x, p, training=self.training), or call the nn.Dropout module"
        )
    return (
        "the model is not a function of one image: its outputs for an image differ "
        f"{by} with the other images of the batch. Found: {causes or 'no operation known to do so'}"
        ". Each image's answer would depend on the batch size; give BatchNorm running statistics "
        "(track_running_stats=True, then run training images through it in train mode and save), "
        "or leave out what mixes images"
    )
