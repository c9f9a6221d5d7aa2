"""The search for hairs: long thin dark lines that stand out from the texture around them.

Dark against a closing of the picture is the classic sign of hair (Lee et al. 1997, "DullRazor");
here it is dark against both sides of a short line, compared with how lined the skin is anyway: a
pigment network is all lines, none of which stands out. Measured in the lightest channel, where
pigment and vessels are faint and hairs are not.
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import most, reduced
from melaudit.artifacts.search.blobs import SIDE, Marks, Values, marks
from melaudit.artifacts.search.ridges import ridges

OFFSET = 12.0
"""Levels added before logarithms are taken, so that noise in the dark is no contrast."""
FAINTEST = 0.015
"""Log brightness by which a line is darker than its sides at least."""
STANDS_OUT = 3.0
"""Times by which it exceeds the mean of its surroundings."""
AROUND = 21
"""Side of the window of its surroundings, in pixels of the reduced copy."""
DARKEST = 0.35
"""Share of the brightness of skin below which a place is outside the field of view."""
EDGE = 4
"""Pixels at the edge of the reduced copy that are left out: scans have border lines."""
TOGETHER = 3
"""Marks that are summed, the best ones."""


def lines(image: RGB) -> Marks:
    """Return the lines that may be hairs, on the reduced copy of an image."""
    light = most(reduced(image, SIDE)).astype(np.float32)
    response = ridges(-np.log(light + OFFSET))
    around = cv2.blur(np.abs(response), (AROUND, AROUND))
    clear = (response > FAINTEST) & (response > STANDS_OUT * around) & _inside(light)
    contrast = np.where(clear, response / np.maximum(around, 1e-4), 0)
    return marks(contrast.astype(np.float32))


def _inside(light: cv2.typing.MatLike) -> Mask:
    """Return what is lit, and neither near the dark nor at the edge (h, w)."""
    level = cv2.blur(light, (9, 9))
    lit = (level > DARKEST * float(np.percentile(level, 80))).astype(np.uint8)
    inside: Mask = cv2.erode(lit, np.ones((11, 11), np.uint8)) > 0
    inside[:EDGE] = inside[-EDGE:] = False
    inside[:, :EDGE] = inside[:, -EDGE:] = False
    return inside


def weight(found: Marks) -> Values:
    """Return how much each mark (n,) speaks for a hair: long, thin and clear."""
    slender = found.reach**2 / found.area
    return found.reach * slender * found.strength
