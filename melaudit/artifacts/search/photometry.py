"""Light and colour of a picture in CIE Lab: of all of it, and of the skin around the lesion.

Lightness L* goes from 0 to 100, a* from green to red, b* from blue to yellow; a distance of 2 is
just visible. The lesion is a legitimate cue and usually lies in the middle, so the outer zone says
more about camera and lamp. The black outside a dermatoscope's field of view is in neither.

Chosen: the constants are round figures, not measured.
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
"""Half the side of the middle that the zone leaves out, as a share of half the picture's side."""
BLACK = 40
"""Level of the red channel, 0 to 255, up to which a pixel is outside the field of view: skin and
lesions are brighter in red."""
MIN_SHARE = 0.02
"""Share of the picture that the field or the zone must cover to be measured."""

Lab = NDArray[np.float64]
"""(3,) L*, a*, b*."""


@dataclass(frozen=True)
class Photometry:
    """Light and colour of one picture."""

    whole: Lab
    """(3,) mean L*, a*, b* of the field of view."""
    zone: Lab
    """(3,) the same of the zone, the skin outside the middle; of the field if no zone is left."""
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
    """Measure the pixels; cached for a few batches of pictures, because several artifacts ask."""
    small = np.frombuffer(pixels, np.uint8).reshape(*size, 3)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    field, zone = field_and_zone(small)
    (whole, spread), (around, zone_spread) = (
        cv2.meanStdDev(lab, mask=place.view(np.uint8)) for place in (field, zone)
    )
    return Photometry(
        whole=np.asarray(whole, np.float64).ravel(),
        zone=np.asarray(around, np.float64).ravel(),
        lightness=float(np.median(np.ascontiguousarray(lab[..., 0])[field])),
        contrast=float(spread[0, 0]),
        zone_contrast=float(zone_spread[0, 0]),
    )


def field_and_zone(image: RGB) -> tuple[Mask, Mask]:
    """Return the field of view (h, w), and the part of it outside the middle (h, w).

    If nearly all of the picture is black, the field is the whole picture; if hardly any field lies
    outside the middle, the zone is the whole field.
    """
    field = image[..., 0] > BLACK
    if field.mean() < MIN_SHARE:
        field = np.ones_like(field)
    zone = field & _outer(*field.shape)
    return field, zone if zone.mean() >= MIN_SHARE else field


@lru_cache(maxsize=8)
def _outer(height: int, width: int) -> NDArray[np.bool_]:
    """Return a mask (height, width), True outside the middle."""
    y = np.abs((np.arange(height) + 0.5) / height * 2 - 1)
    x = np.abs((np.arange(width) + 0.5) / width * 2 - 1)
    outer: NDArray[np.bool_] = np.maximum(y[:, None], x[None]) > MIDDLE
    return outer
