"""What artifacts return, held to the contract: anybody's may be asked.

Whoever asks an artifact asks through these functions. Each raises ArtifactError, which names the
artifact and what it returned, for what `interface` does not allow; what the artifact itself raises
goes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from melaudit.artifacts.interface import (
    RGB,
    Artifact,
    Edited,
    Found,
    HasKinds,
    HasPlainRule,
    Mask,
    PaintedLater,
    Placebo,
)
from melaudit.errors import ArtifactError

_MAX_SHOWN = 80
"""Characters of a value that an error shows. Chosen: a line of a terminal."""


def find(artifact: Artifact, image: RGB) -> Found:
    """Return `artifact.find(image)`."""
    found = artifact.find(image)
    if not isinstance(found, Found):
        _refuse(artifact, "find", found, "Found")
    score = found.score
    if not isinstance(score, float | int | np.number) or not 0 <= score <= 1:
        _refuse(artifact, "find", score, "a score from 0 to 1")
    if not isinstance(found.present, bool | np.bool_):
        _refuse(artifact, "find", found.present, "whether it is present as True or False")
    _refuse_mask(artifact, "find", found.mask, image)
    return found


def add(artifact: Artifact, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
    """Return `artifact.add(image, rng, dose)`."""
    return _edited(artifact, "add", artifact.add(image, rng, dose), image)


def remove(artifact: Artifact, image: RGB, mask: Mask) -> Edited:
    """Return `artifact.remove(image, mask)`."""
    return _edited(artifact, "remove", artifact.remove(image, mask), image)


def placebos(
    artifact: Artifact, image: RGB, edited: Edited, rng: np.random.Generator
) -> tuple[Placebo, ...]:
    """Return `artifact.placebos(image, edited, rng)`."""
    made = artifact.placebos(image, edited, rng)
    if not isinstance(made, Sequence) or not all(isinstance(each, Placebo) for each in made):
        _refuse(artifact, "placebos", made, "a sequence of Placebo")
    for each in made:
        for text in (each.id, each.title, *([] if each.look_alike is None else [each.look_alike])):
            if not isinstance(text, str) or not text:
                _refuse(artifact, "placebos", text, "a text")
        if not isinstance(each, PaintedLater):
            _refuse_picture(artifact, "placebos", each.image, image)
    if not any(each.look_alike is None for each in made):
        _refuse(artifact, "placebos", made, "at least one that is neutral (no look_alike)")
    return tuple(
        _checked_later(artifact, each, image) if isinstance(each, PaintedLater) else each
        for each in made
    )


def kind_of(artifact: HasKinds, image: RGB, found: Found) -> int:
    """Return `artifact.kind_of(image, found)`."""
    kind = artifact.kind_of(image, found)
    if not isinstance(kind, int | np.integer) or not 0 <= kind < len(artifact.kinds):
        _refuse(artifact, "kind_of", kind, f"a whole number from 0 to {len(artifact.kinds) - 1}")
    return int(kind)


def rule(artifact: HasPlainRule, image: RGB) -> bool:
    """Return `artifact.rule(image)`."""
    holds = artifact.rule(image)
    if not isinstance(holds, bool | np.bool_):
        _refuse(artifact, "rule", holds, "True or False")
    return bool(holds)


def _checked_later(artifact: Artifact, placebo: PaintedLater, image: RGB) -> PaintedLater:
    """Return a placebo whose picture is refused when it is painted, where it does not fit."""

    def paint() -> RGB:
        _refuse_picture(artifact, "placebos", placebo.image, image)
        return placebo.image

    return PaintedLater(placebo.id, placebo.title, paint, placebo.look_alike)


def _edited(artifact: Artifact, method: str, edited: Edited, image: RGB) -> Edited:
    if not isinstance(edited, Edited):
        _refuse(artifact, method, edited, "Edited")
    _refuse_picture(artifact, method, edited.image, image)
    _refuse_mask(artifact, method, edited.mask, image)
    return edited


def _refuse_picture(artifact: Artifact, method: str, picture: Any, image: RGB) -> None:
    fits = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
    if not fits or np.shape(picture) != image.shape:
        _refuse(artifact, method, picture, f"an image {image.shape} of type uint8")


def _refuse_mask(artifact: Artifact, method: str, mask: Any, image: RGB) -> None:
    fits = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
    if not fits or np.shape(mask) != image.shape[:2]:
        _refuse(artifact, method, mask, f"a mask {image.shape[:2]} of type bool")


def _refuse(artifact: object, method: str, value: Any, expected: str) -> NoReturn:
    array = isinstance(value, np.ndarray)
    shown = f"an array {np.shape(value)}" if array else " ".join(repr(value).split())[:_MAX_SHOWN]
    name = getattr(artifact, "id", type(artifact).__name__)
    raise ArtifactError(f"artifact {name}: {method} gave {shown}; expected {expected}")
