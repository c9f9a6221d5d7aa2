"""Light and colour of a picture in CIE Lab, over all of it and on the skin round the lesion.

Lightness L* runs from 0 to 100; a* from green to red, b* from blue to yellow; a distance of 2 is
just visible. The lesion is a legitimate cue and usually lies in the middle, so the outer zone tells
more about camera and lamp; the black outside of a dermatoscope's field is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import reduced

SIDE = 144
"""Longer side of the reduced copy that is measured, in pixels."""
MIDDLE = 0.6
"""The zone lies outside the middle of the picture, which reaches so far from its centre, in half
sides."""
BLACK = 40
"""Value of the red channel, 0 to 255, up to which a pixel is outside the field of view: skin and
lesions are brighter in red."""
LEAST = 0.02
"""Share of the picture that a zone must keep to be measured."""

Lab = NDArray[np.float64]
"""(3,) L*, a*, b*."""


@dataclass(frozen=True)
class Photometry:
    """What a picture's light and colour are."""

    whole: Lab
    """(3,) mean L*, a*, b* of the field of view."""
    zone: Lab
    """(3,) the same of the skin round the middle; of the whole where no zone is left."""
    lightness: float
    """Median L* of the field of view."""
    contrast: float
    """Standard deviation of L* over the field of view."""
    zone_contrast: float
    """Standard deviation of L* over the zone."""


def photometry(image: RGB) -> Photometry:
    """Measure an RGB image (h, w, 3) of any size."""
    small = reduced(image, SIDE)
    return _photometry(small.tobytes(), (small.shape[0], small.shape[1]))


@lru_cache(maxsize=64)
def _photometry(pixels: bytes, size: tuple[int, int]) -> Photometry:
    """Measure it; kept for a few batches of pictures, since several artifacts go by it."""
    small = np.frombuffer(pixels, np.uint8).reshape(*size, 3)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    field, zone = field_and_zone(small)
    inside, around = lab[field], lab[zone]
    return Photometry(
        whole=inside.mean(0, dtype=np.float64),
        zone=around.mean(0, dtype=np.float64),
        lightness=float(np.median(inside[:, 0])),
        contrast=float(inside[:, 0].std(dtype=np.float64)),
        zone_contrast=float(around[:, 0].std(dtype=np.float64)),
    )


def field_and_zone(image: RGB) -> tuple[Mask, Mask]:
    """Return the field of view (h, w), and of it the skin outside the middle (h, w).

    A picture that is black all over is field, and one without skin outside the middle is zone.
    """
    field = image[..., 0] > BLACK
    if field.mean() < LEAST:
        field = np.ones_like(field)
    zone = field & _outer(*field.shape)
    return field, zone if zone.mean() >= LEAST else field


@lru_cache(maxsize=8)
def _outer(height: int, width: int) -> NDArray[np.bool_]:
    """Return (height, width), True outside the middle."""
    y = np.abs((np.arange(height) + 0.5) / height * 2 - 1)
    x = np.abs((np.arange(width) + 0.5) / width * 2 - 1)
    outer: NDArray[np.bool_] = np.maximum(y[:, None], x[None]) > MIDDLE
    return outer
