"""Attempts: images with an artifact put in, taken out or imitated, before the model sees them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts import held
from melaudit.artifacts.interface import RGB, Artifact, Exchangeable, Mask, Placebo
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
    """Yield each image with the artifact put in."""
    edit = Edit("add", artifact.phrases.put_in)
    for row, image in laboratory.pictures(rows):
        edited = held.add(artifact, image, draws(artifact, row, seed), dose)
        yield Attempt(edit, row, dose, edited.image)


def beside(
    artifact: Artifact,
    rows: Rows,
    laboratory: Laboratory,
    seed: int,
    wanted: Callable[[Placebo], bool],
    dose: float = 1.0,
) -> Iterator[Attempt]:
    """Yield each image with what is put in beside the artifact, of its placebos those wanted."""
    for row, image in laboratory.pictures(rows):
        edited = held.add(artifact, image, draws(artifact, row, seed), dose)
        for placebo in held.placebos(artifact, image, edited, draws(artifact, row, seed + 1)):
            if wanted(placebo):  # the picture of another need not be painted
                edit = Edit(placebo.id, placebo.title, "add", placebo.look_alike)
                yield Attempt(edit, row, dose, placebo.image)


def neutral(placebo: Placebo) -> bool:
    """Tell whether a placebo should mean nothing; else it is a look-alike."""
    return placebo.look_alike is None


def smaller_doses(
    artifact: Artifact, rows: Rows, laboratory: Laboratory, seed: int, placebo: str
) -> Iterator[Attempt]:
    """Yield each image with less of the artifact put in, and with as little of a placebo."""
    for dose in DOSES:
        yield from put_in(artifact, rows, laboratory, seed, dose)
        yield from beside(artifact, rows, laboratory, seed, lambda each: each.id == placebo, dose)


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


def can_be_taken_out(artifact: Artifact) -> bool:
    """Tell whether an artifact is taken out of images.

    What the whole picture has is not, unless it is exchanged: on a picture without it there is
    nothing to correct, so no placebo would change as much.
    """
    exchanged = isinstance(artifact, Exchangeable) and artifact.exchanged
    return exchanged or not artifact.whole_picture


def taken_out(artifact: Artifact, rows: Rows, laboratory: Laboratory) -> Iterator[Attempt]:
    """Yield each image with its artifact taken out; nothing for one that cannot be."""
    if not can_be_taken_out(artifact):
        return
    taken = Edit("remove", artifact.phrases.taken_out)
    for row, image, mask in _found(artifact, rows, laboratory):
        yield Attempt(taken, row, 1.0, held.remove(artifact, image, mask).image)


def filled_elsewhere(
    artifact: Artifact, rows: Rows, partners: Mapping[int, int], laboratory: Laboratory
) -> Iterator[Attempt]:
    """Yield the place of each image's artifact filled on its partner, which does not show it."""
    done = "done" if artifact.whole_picture else "place filled"
    filled = Edit("elsewhere", f"the same {done} on {artifact.phrases.lacking} images", "remove")
    for row, _, mask in _found(artifact, rows, laboratory):
        for partner, other in laboratory.pictures([partners[row]] if row in partners else []):
            yield Attempt(
                filled, partner, 1.0, held.remove(artifact, other, _moved(mask, other)).image
            )


def partners_of(rows: Rows, others: Rows, targets: Rows) -> dict[int, int]:
    """Return row -> another image of the same class, no image twice, as far as there are any.

    rows: (m,) images that show an artifact; others: (k,) images that do not; targets: (n,) the
    class of every image. As the class is the same, what filling does to the other's decision is not
    due to the artifact.
    """
    free = {t: list(others[targets[others] == t]) for t in np.unique(targets)}
    return {int(row): int(free[targets[row]].pop()) for row in rows if free[targets[row]]}


def _found(
    artifact: Artifact, rows: Rows, laboratory: Laboratory
) -> Iterator[tuple[int, RGB, Mask]]:
    """Yield (row, picture, where the artifact is) of the images in which it is seen."""
    for row, image in laboratory.pictures(rows):
        mask = laboratory.find(artifact, row, image).mask
        if mask.any():  # else seen at full size only, or the user said that it is there only
            yield row, image, mask


def _moved(mask: Mask, image: RGB) -> Mask:
    height, width = image.shape[:2]
    resized = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    moved: Mask = resized > 0
    return moved


def draws(artifact: Artifact, row: int, seed: int) -> np.random.Generator:
    """Return the random numbers of an edit: the same for the same artifact, image and seed."""
    return np.random.default_rng([seed, row, zlib.crc32(artifact.id.encode())])
