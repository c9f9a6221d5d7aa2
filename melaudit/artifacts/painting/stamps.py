"""Stamps: marks lifted from pictures that show them, to be put on other pictures unchanged.

Rulers and lettering come in many makes, and the images of one clinic show one or two of them. A
model that has learned those may ignore all others. A stamp is the opacity of a mark and one colour,
so that nothing else of the picture comes along.

Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Artifact, Edited, Mask
from melaudit.artifacts.picture import Layer, blended, dilated, edit

MARGIN = 0.012
"""How far beyond its mask a mark is lifted, as a share of the longer side: finders mark its
core."""
WINDOW = 0.09
"""Side of the window that separates the ground from a mark, as a share of the longer side."""
MIN_CONTRAST = 40.0
"""Distance between the colours of a mark and of the skin, in levels of 255; fainter marks are not
lifted."""
MIN_OPACITY = 0.15
"""Opacity below which a pixel counts as bare: skin is not even."""
CORE = 0.7
"""Share of the largest contrast from which a pixel shows the mark's own colour."""

Images = Iterable[RGB]
Marked = TypeVar("Marked", bound=Artifact)


@dataclass(frozen=True)
class Stamp:
    """A mark without its picture."""

    opacity: Layer
    """(h, w), 0 to 1, at the size of the picture that it was lifted from."""
    colour: tuple[float, float, float]


def lifted(image: RGB, mask: Mask) -> Stamp | None:
    """Lift a mark from an image (h, w, 3); None if hardly anything of it can be seen."""
    if not mask.any() or mask.all():
        return None
    area = dilated(mask, MARGIN * max(mask.shape))
    # A median over a window wider than any stroke follows the skin between the strokes, and the
    # edge of a lesion behind them, where inpainting would have to guess.
    window = max(3, round(WINDOW * max(mask.shape)) | 1)
    ground = cv2.medianBlur(np.ascontiguousarray(image), window).astype(np.float32)
    change = image.astype(np.float32) - ground
    strength = np.where(mask, np.linalg.norm(change, axis=2), 0.0)
    strongest = float(np.percentile(strength[mask], 90))
    if strongest < MIN_CONTRAST:
        return None
    core = strength >= CORE * strongest
    colour = np.median(image[core].astype(np.float64), axis=0)
    # The opacity is how far each pixel lies from the ground towards the colour.
    towards = (colour - ground).astype(np.float32)
    length = np.maximum((towards**2).sum(2), MIN_CONTRAST**2)
    opacity = np.clip((change * towards).sum(2) / length, 0, 1)
    opacity = np.where(area & (opacity >= MIN_OPACITY), opacity, 0.0).astype(np.float32)
    return Stamp(opacity, (float(colour[0]), float(colour[1]), float(colour[2])))


def stamps(artifact: Artifact, images: Images) -> tuple[Stamp, ...]:
    """Lift an artifact from all images in which its finder finds it."""
    out = []
    for image in images:
        found = artifact.find(image)
        stamp = lifted(image, found.mask) if found.present else None
        if stamp is not None:
            out.append(stamp)
    return tuple(out)


def from_images(
    artifact: Marked, make: Callable[[tuple[Stamp, ...]], Marked], images: Images
) -> Marked:
    """Return the variant of an artifact that images show; the artifact itself if they show none."""
    shown = stamps(artifact, images)
    if not shown:
        return artifact
    made = make(shown)
    made.phrases = replace(
        artifact.phrases, shows=f"{artifact.phrases.shows} like those in these images"
    )
    return made


def stamped(
    image: RGB, available: tuple[Stamp, ...], rng: np.random.Generator, dose: float
) -> Edited:
    """Put one of the stamps on an image (h, w, 3), in its own place and at its own size."""
    stamp = available[int(rng.integers(len(available)))]
    height, width = image.shape[:2]
    smaller = height * width < stamp.opacity.size
    opacity = cv2.resize(
        stamp.opacity,
        (width, height),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR,
    )
    weight: NDArray[np.float32] = np.asarray(opacity * dose, np.float32)
    return edit(image, blended(image, stamp.colour, weight))
