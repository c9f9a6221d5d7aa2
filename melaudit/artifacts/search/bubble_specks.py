"""Search for air bubbles in the gel: small specks much lighter than the skin around them.

At the size of the pictures that are audited, a bubble is a light rim one or two pixels wide, or a
glint. Specks are measured in the red channel: skin is light there, and only the reflection of the
lamp is lighter. Each speck is compared with the other specks around it, because scales and rough
skin are full of them.

Chosen: the constants, by AUC over a few hundred settings on the tuning half of the labelled images
(benchmarks/artifacts.py; docs/artifacts.md has the result).
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.picture import Layer, reduced
from melaudit.artifacts.search.blobs import LOG_OFFSET, SIDE
from melaudit.artifacts.search.lit_area import lit_area

BACKGROUND = 0.003
"""Log brightness of the specks that every picture has; added to the mean around a speck."""
SURROUNDINGS = 31
"""Side of the window in which specks are compared, in pixels of the reduced copy."""
LOCAL = 9
"""Side of the window whose mean a speck is lighter than, in pixels of the reduced copy."""
MIN_LIT = 0.4
"""Share of the brightness of skin below which a place is outside the field of view."""
MARGIN = 13
"""Side of the square by which the lit area is eroded, in pixels of the reduced copy."""
EDGE = 5
"""Pixels at the edge of the reduced copy that are left out: scans have border lines."""
CLEAREST = 5
"""Number of the clearest pixels that are averaged: a single one may be a broken pixel."""


def specks(image: RGB) -> Layer:
    """Return how far each pixel of the reduced copy stands out as a light speck (h, w)."""
    red = np.asarray(reduced(image, SIDE)[..., 0], np.float32)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    # What is darker than its surroundings is raised to their mean: skin between two hairs would
    # otherwise look like a speck.
    level = np.log(red + LOG_OFFSET)
    level = np.maximum(level, cv2.blur(level, (LOCAL, LOCAL)))
    bright = cv2.morphologyEx(level, cv2.MORPH_TOPHAT, kernel)
    contrast = bright / (cv2.blur(bright, (SURROUNDINGS, SURROUNDINGS)) + BACKGROUND)
    return np.where(lit_area(red, MIN_LIT, MARGIN, EDGE), contrast, 0).astype(np.float32)


def clearest(contrast: Layer) -> float:
    """Return the mean contrast of the clearest pixels."""
    ordered = np.sort(contrast, axis=None)[-CLEAREST:]
    return float(ordered.mean())
