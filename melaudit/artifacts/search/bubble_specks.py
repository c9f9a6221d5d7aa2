"""The search for air bubbles in the gel: small specks far lighter than the skin around them.

At the size pictures are audited at, a bubble is a light rim of a pixel or two, or a glint. Specks
are measured in the red channel, where skin itself is light and only a mirror image of the lamp is
lighter, and against the other specks around: scales and a rough surface are full of them.
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import Layer, reduced
from melaudit.artifacts.search.blobs import SIDE

OFFSET = 12.0
"""Levels added before logarithms are taken, so that noise in the dark is no contrast."""
FLOOR = 0.003
"""Log brightness of the specks that any picture has."""
AROUND = 31
"""Side of the window in which specks are compared, in pixels of the reduced copy."""
LOCAL = 9
"""Side of the window whose mean a speck is lighter than, in pixels of the reduced copy."""
DARKEST = 0.4
"""Share of the brightness of skin below which a place is outside the field of view."""
EDGE = 5
"""Pixels at the edge of the reduced copy that are left out: scans have border lines."""
TOGETHER = 5
"""Pixels whose mean counts, the clearest: one alone may be a broken pixel."""


def specks(image: RGB) -> Layer:
    """Return how far each pixel of the reduced copy stands out as a light speck (h, w)."""
    red = np.asarray(reduced(image, SIDE)[..., 0], np.float32)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    # What is darker than its surroundings is filled up: skin between two hairs is no speck.
    level = np.log(red + OFFSET)
    level = np.maximum(level, cv2.blur(level, (LOCAL, LOCAL)))
    bright = cv2.morphologyEx(level, cv2.MORPH_TOPHAT, kernel)
    contrast = bright / (cv2.blur(bright, (AROUND, AROUND)) + FLOOR)
    return np.where(_inside(red), contrast, 0).astype(np.float32)


def _inside(red: Layer) -> Mask:
    """Return what is lit, and neither near the dark nor at the edge (h, w)."""
    level = cv2.blur(red, (9, 9))
    lit = (level > DARKEST * float(np.percentile(level, 80))).astype(np.uint8)
    inside: Mask = cv2.erode(lit, np.ones((13, 13), np.uint8)) > 0
    inside[:EDGE] = inside[-EDGE:] = False
    inside[:, :EDGE] = inside[:, -EDGE:] = False
    return inside


def clearest(contrast: Layer) -> float:
    """Return the mean of the clearest pixels."""
    ordered = np.sort(contrast, axis=None)[-TOGETHER:]
    return float(ordered.mean())
