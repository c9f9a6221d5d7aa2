"""What pictures look like, as far as it tells one field from another.

Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.picture import brightest_channel, darkest_channel, reduced
from melaudit.artifacts.search.photometry import field_and_zone

SIDE = 96
"""Longer side of the reduced copy that is looked at, in pixels."""
COARSE = 16
"""Side of the copy that is held against its mirror image, in pixels."""
MAX_SPREAD = 12
"""Levels of 255 between the channels up to which a pixel is grey: JPEG tints grey a little."""
COLOURED = 0.005
"""Share of coloured pixels up to which a picture is grey: a coloured mark on it does not count."""
BLACK = 20
"""Level of the brightest channel up to which a pixel is black."""
OUTER = 0.6
"""Where the surroundings begin, as a share of half the side."""


@dataclass(frozen=True)
class Surroundings:
    """What lies outside the middle of a picture; grey is the whole picture."""

    grey: bool
    black: float
    """Share of the surroundings that is black."""
    lightness: float
    """Mean L* of what is not black, 0 to 100."""
    a: float
    b: float
    hue_spread: float
    """Standard deviations of a* and b*, added in squares."""
    contrast: float
    """Standard deviation of L*."""


def surroundings(image: RGB) -> Surroundings:
    """Look at what lies outside the middle of an image (h, w, 3)."""
    small = reduced(image, SIDE)
    spread = brightest_channel(small).astype(np.int16) - darkest_channel(small)
    height, width = small.shape[:2]
    y = np.abs((np.arange(height) + 0.5) / height * 2 - 1)
    x = np.abs((np.arange(width) + 0.5) / width * 2 - 1)
    outer = np.maximum(y[:, None], x[None]) > OUTER
    _, zone = field_and_zone(small)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[zone]
    mean, deviation = lab.mean(0, dtype=np.float64), lab.std(0, dtype=np.float64)
    return Surroundings(
        grey=bool((spread > MAX_SPREAD).mean() <= COLOURED),
        black=float((brightest_channel(small)[outer] <= BLACK).mean()),
        lightness=float(mean[0]),
        a=float(mean[1]),
        b=float(mean[2]),
        hue_spread=float(np.hypot(deviation[1], deviation[2])),
        contrast=float(deviation[0]),
    )


def symmetry(image: RGB) -> float:
    """Return the correlation of an image (h, w, 3), coarsely seen, with its mirror image."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (COARSE, COARSE), interpolation=cv2.INTER_AREA).astype(np.float64)
    if np.ptp(small) == 0:
        return 0.0
    return float(np.corrcoef(small.ravel(), small[:, ::-1].ravel())[0, 1])
