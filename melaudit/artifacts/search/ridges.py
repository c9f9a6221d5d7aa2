"""Ridge filter for thin dark lines: darker along a short line than along the lines beside it.

Chosen: the constants, by AUC over a few hundred settings on the tuning half of the labelled images
(benchmarks/artifacts.py).
"""

from __future__ import annotations

import cv2
import numpy as np

from melaudit.artifacts.picture import Layer

DIRECTIONS = 12
"""Directions of lines that are tried."""
DOUBLINGS = 3
"""A line is 2 to this power pixels long."""
APART = 2
"""Pixels from a line to the lines beside it."""
MARGIN = 2**DOUBLINGS + APART + 2
"""Pixels by which the picture is continued at its edge."""


def ridges(dark: Layer) -> Layer:
    """Return how much darker the best line at each pixel is than the darker line beside it (h, w).

    `dark` (h, w) is larger where the picture is darker. Edges do not count, because the darker
    neighbour is taken (line detector of Ricci and Perfetti 2007). The sum along a line doubles in
    length at each step, so the cost grows with the logarithm of the length.
    """
    height, width = dark.shape
    bordered = cv2.copyMakeBorder(dark, *(MARGIN,) * 4, cv2.BORDER_REPLICATE)
    padded = np.asarray(bordered, np.float32)
    best = np.full(dark.shape, -np.inf, np.float32)
    beside = np.empty_like(best)
    for k in range(DIRECTIONS):
        angle = np.pi * k / DIRECTIONS
        down, right = float(np.sin(angle)), float(np.cos(angle))
        total, (top, left) = _along(padded, down, right)
        reach = (2**DOUBLINGS - 1) / 2
        y, x = MARGIN - round(down * reach) - top, MARGIN - round(right * reach) - left
        dy, dx = round(right * APART), round(-down * APART)
        line, one, other = (
            total[y + s * dy : y + s * dy + height, x + s * dx : x + s * dx + width]
            for s in (0, 1, -1)
        )
        np.maximum(one, other, out=beside)
        np.maximum(best, np.subtract(line, beside, out=beside), out=best)
    return np.asarray(best / 2**DOUBLINGS, np.float32)


def _along(padded: Layer, down: float, right: float) -> tuple[Layer, tuple[int, int]]:
    """Return sums along lines that start at each pixel, and where the first pixel lies in them."""
    total, top, left = padded, 0, 0
    for k in range(DOUBLINGS):
        dy, dx = round(down * 2**k), round(right * 2**k)
        height, width = total.shape
        here = total[: height - dy, max(0, -dx) : width - max(0, dx)]
        there = total[dy:, max(0, dx) : width - max(0, -dx)]
        total, left = here + there, left + max(0, -dx)
    return total, (top, left)
