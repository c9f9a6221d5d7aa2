"""The lit area of a picture: inside the field of view, away from its rim and the image edge."""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import Mask
from melaudit.artifacts.picture import Layer

WINDOW = 9
"""Side of the window in which the brightness is averaged, in pixels."""
SKIN = 80
"""Percentile of the brightness that is taken for skin."""


def lit_area(light: Layer, min_share: float, margin: int, edge: int) -> Mask:
    """Return the lit area (h, w) of one channel (h, w).

    A place is lit if it has `min_share` of the brightness of skin. The area is then eroded by a
    square of `margin` pixels, and `edge` pixels along the image edge are left out.
    """
    level = cv2.blur(light, (WINDOW, WINDOW))
    lit = (level > min_share * float(np.percentile(level, SKIN))).astype(np.uint8)
    inside: Mask = cv2.erode(lit, np.ones((margin, margin), np.uint8)) > 0
    inside[:edge] = inside[-edge:] = False
    inside[:, :edge] = inside[:, -edge:] = False
    return inside
