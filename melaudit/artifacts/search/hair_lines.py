"""Search for hairs: long, thin, dark lines that stand out from the texture around them.

The classic sign of hair is a difference from the closing of the picture (Lee et al. 1997,
"DullRazor"). Here a hair is darker than both sides of a short line, compared with how lined the
skin is anyway: a pigment network is all lines, and none of them stands out. Lines are measured in
the brightest channel, where pigment and vessels are faint and hairs are not.

Chosen: the constants, by AUC over a few hundred settings on the tuning half of the labelled images
(benchmarks/artifacts.py; docs/artifacts.md has the result).
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.picture import brightest_channel, reduced
from melaudit.artifacts.search.blobs import LOG_OFFSET, SIDE, Blobs, Values, blobs
from melaudit.artifacts.search.lit_area import lit_area
from melaudit.artifacts.search.ridges import ridges

MIN_CONTRAST = 0.015
"""Log brightness by which a line must be darker than its sides."""
MIN_RATIO = 3.0
"""How many times a line must exceed the mean of its surroundings."""
SURROUNDINGS = 21
"""Side of the window of its surroundings, in pixels of the reduced copy."""
MIN_LIT = 0.35
"""Share of the brightness of skin below which a place is outside the field of view."""
MARGIN = 11
"""Side of the square by which the lit area is eroded, in pixels of the reduced copy."""
EDGE = 4
"""Pixels at the edge of the reduced copy that are left out: scans have border lines."""
BEST = 3
"""Number of the best lines whose weights are summed."""


def lines(image: RGB) -> Blobs:
    """Return the lines that may be hairs, on the reduced copy of an image (h, w, 3)."""
    light = brightest_channel(reduced(image, SIDE)).astype(np.float32)
    response = ridges(-np.log(light + LOG_OFFSET))
    around = cv2.blur(np.abs(response), (SURROUNDINGS, SURROUNDINGS))
    clear = (response > MIN_CONTRAST) & (response > MIN_RATIO * around)
    clear &= lit_area(light, MIN_LIT, MARGIN, EDGE)
    contrast = np.where(clear, response / np.maximum(around, 1e-4), 0)
    return blobs(contrast.astype(np.float32))


def weight(found: Blobs) -> Values:
    """Return how much each line (n,) speaks for a hair: it should be long, thin and clear."""
    slender = found.extent**2 / found.area
    return found.extent * slender * found.strength
