"""Marks taken off pictures that show them, to be put on others just as they were.

Rulers and lettering come in many makes, of which the images of a clinic show one or two; a model
that has learned those need not mind any other. What is taken is a cover (how thick the mark lies)
and one colour, so that nothing of the picture it was taken from comes along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Artifact, Edited, Mask
from melaudit.artifacts.picture import Layer, edit, grown, mixed

AROUND = 0.012
"""How far beyond its mask a mark is taken, in longer sides: finders see its core."""
WINDOW = 0.09
"""Side of the window that tells the ground from a mark, in longer sides."""
LEAST = 40.0
"""Distance of a mark's colour from the skin's at least; fainter ones leave nothing to take."""
FAINT = 0.15
"""Cover below which a pixel is taken for bare: skin is not even."""
CORE = 0.7
"""Share of the strongest distance from which a pixel shows the mark's own colour."""


Images = Iterable[RGB]
Marked = TypeVar("Marked", bound=Artifact)


@dataclass(frozen=True)
class Stamp:
    """One mark, without its picture."""

    cover: Layer
    """(h, w), 0 to 1, at the size of the picture it is of."""
    colour: tuple[float, float, float]


def taken(image: RGB, mask: Mask) -> Stamp | None:
    """Take a mark off an image (h, w, 3); None where hardly anything is to be seen of it."""
    if not mask.any() or mask.all():
        return None
    area = grown(mask, AROUND)
    # A median over a window wider than any stroke: it keeps to the skin between the strokes, and
    # to the edge of a lesion behind them, where inpainting would have to guess.
    window = max(3, round(WINDOW * max(mask.shape)) | 1)
    ground = cv2.medianBlur(np.ascontiguousarray(image), window).astype(np.float32)
    change = image.astype(np.float32) - ground
    strength = np.where(mask, np.linalg.norm(change, axis=2), 0.0)
    strongest = float(np.percentile(strength[mask], 90))
    if strongest < LEAST:
        return None
    core = strength >= CORE * strongest
    colour = np.median(image[core].astype(np.float64), axis=0)
    # How far from the ground towards the colour each pixel lies.
    towards = (colour - ground).astype(np.float32)
    length = np.maximum((towards**2).sum(2), LEAST**2)
    cover = np.clip((change * towards).sum(2) / length, 0, 1)
    cover = np.where(area & (cover >= FAINT), cover, 0.0).astype(np.float32)
    return Stamp(cover, (float(colour[0]), float(colour[1]), float(colour[2])))


def stamps(artifact: Artifact, images: Images) -> tuple[Stamp, ...]:
    """Take an artifact off all images in which its finder sees it."""
    out = []
    for image in images:
        found = artifact.find(image)
        stamp = taken(image, found.mask) if found.present else None
        if stamp is not None:
            out.append(stamp)
    return tuple(out)


def alike(artifact: Marked, make: Callable[[tuple[Stamp, ...]], Marked], images: Images) -> Marked:
    """Make an artifact of the marks that images show; the artifact itself where none is seen."""
    shown = stamps(artifact, images)
    if not shown:
        return artifact
    made = make(shown)
    made.phrases = replace(
        artifact.phrases, shows=f"{artifact.phrases.shows}, as images here show it,"
    )
    return made


def pressed(image: RGB, choice: tuple[Stamp, ...], rng: np.random.Generator, dose: float) -> Edited:
    """Put one of the marks on an image (h, w, 3), in the place and of the size it had."""
    stamp = choice[int(rng.integers(len(choice)))]
    height, width = image.shape[:2]
    smaller = height * width < stamp.cover.size
    cover = cv2.resize(
        stamp.cover,
        (width, height),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR,
    )
    weight: NDArray[np.float32] = np.asarray(cover * dose, np.float32)
    return edit(image, mixed(image, stamp.colour, weight))
