"""Attempts: images with an artifact put in, taken out or imitated, before the model sees them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts import held
from melaudit.artifacts.interface import RGB, Artifact, Mask
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.measurements import Edit

DOSES = (0.25, 0.5, 0.75)
"""Doses below the usual one. Chosen: even steps, not measured."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Attempt:
    """One edited picture, before the model has seen it."""

    edit: Edit
    row: int
    dose: float
    picture: RGB
    before: RGB | None = None
    """What the edited picture is held against; None for the image as it is."""


def put_in(
    artifact: Artifact, rows: Rows, laboratory: Laboratory, seed: int, dose: float = 1.0
) -> Iterator[Attempt]:
    """Yield each image with the artifact put in, and with the placebos that mean nothing."""
    edit = Edit("add", artifact.phrases.put_in)
    for row, image in laboratory.pictures(rows):
        edited = held.add(artifact, image, draws(artifact, row, seed), dose)
        yield Attempt(edit, row, dose, edited.image)
        for placebo in held.placebos(artifact, image, edited, draws(artifact, row, seed + 1)):
            if placebo.look_alike is None:
                yield Attempt(Edit(placebo.id, placebo.title, "add"), row, dose, placebo.image)


def resembling(
    artifact: Artifact, rows: Rows, laboratory: Laboratory, seed: int
) -> Iterator[Attempt]:
    """Yield each image with what shares a property with the artifact."""
    for row, image in laboratory.pictures(rows):
        edited = held.add(artifact, image, draws(artifact, row, seed))
        for placebo in held.placebos(artifact, image, edited, draws(artifact, row, seed + 1)):
            if placebo.look_alike is not None:
                edit = Edit(placebo.id, placebo.title, "add", placebo.look_alike)
                yield Attempt(edit, row, 1.0, placebo.image)


def smaller_doses(
    artifact: Artifact, rows: Rows, laboratory: Laboratory, seed: int
) -> Iterator[Attempt]:
    """Yield each image with less of the artifact put in, and with as little of its placebos."""
    for dose in DOSES:
        yield from put_in(artifact, rows, laboratory, seed, dose)


def on_bare_ground(
    artifact: Artifact, rows: Rows, laboratory: Laboratory, seed: int
) -> Iterator[Attempt]:
    """Yield the artifact on pictures without the object, held against these.

    Nothing where the domain cannot make such pictures.
    """
    without_object = laboratory.domain.without_object
    if without_object is None:
        return
    edit = Edit("bare", f"{artifact.phrases.shows} on {laboratory.domain.words.bare}")
    for row, image in laboratory.pictures(rows):
        bare = without_object(image, draws(artifact, row, seed + 2))
        edited = held.add(artifact, bare, draws(artifact, row, seed))
        yield Attempt(edit, row, 1.0, edited.image, before=bare)


def taken_out(
    artifact: Artifact, rows: Rows, others: Rows, targets: Rows, laboratory: Laboratory
) -> Iterator[Attempt]:
    """Yield each image with its artifact taken out, and the same place filled on another image.

    rows: (m,) images that show the artifact; others: (k,) images that do not; targets: (n,) the
    class of every image. The other image is of the same class, so what filling does to its decision
    is not due to the artifact. What the whole picture has is not taken out: on a picture without it
    there is nothing to correct, so no placebo would change as much.
    """
    if artifact.whole_picture:
        return
    taken = Edit("remove", artifact.phrases.taken_out)
    filled = Edit(
        "elsewhere", f"the same place filled on {artifact.phrases.lacking} images", "remove"
    )
    partners = {t: list(others[targets[others] == t]) for t in np.unique(targets)}
    for row, image in laboratory.pictures(rows):
        found = laboratory.find(artifact, row, image)
        if not found.mask.any():  # seen at full size only, or the user said that it is there only
            continue
        yield Attempt(taken, row, 1.0, held.remove(artifact, image, found.mask).image)
        if partners[targets[row]]:
            partner = int(partners[targets[row]].pop())
            for _, other in laboratory.pictures([partner]):
                mask = _moved(found.mask, other)
                yield Attempt(filled, partner, 1.0, held.remove(artifact, other, mask).image)


def _moved(mask: Mask, image: RGB) -> Mask:
    height, width = image.shape[:2]
    resized = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    moved: Mask = resized > 0
    return moved


def draws(artifact: Artifact, row: int, seed: int) -> np.random.Generator:
    """Return the random numbers of an edit: the same for the same artifact, image and seed."""
    return np.random.default_rng([seed, row, zlib.crc32(artifact.id.encode())])
