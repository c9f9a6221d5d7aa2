"""Draw thin things smoothly at any size: on a finer canvas, which is then reduced to a coverage.

A coverage (h, w) is the share of each pixel that a thing covers, 0 to 1. A hair that is half a
pixel wide is thus half as strong, and does not vanish.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.picture import Layer

Points = NDArray[np.float64]
"""(n, 2) x and y in pixels of the picture; the middle of the first pixel is (0.5, 0.5)."""

MIN_CANVAS_SIDE = 768
"""Shorter side, in pixels, below which the canvas is made finer than the picture."""
MAX_FACTOR = 12
"""How many times finer than the picture the canvas is at most."""
SHIFT = 4
"""Fractional bits of a coordinate in OpenCV's drawing functions."""
MAX_COORDINATE = 1e6
"""Coordinates are clipped to this: OpenCV draws nothing beyond some millions of pixels."""


class Canvas:
    """A canvas for filled shapes on a picture of height x width pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width
        self.factor = int(np.clip(np.ceil(MIN_CANVAS_SIDE / min(height, width)), 1, MAX_FACTOR))
        while self.factor > 1 and max(height, width) * self.factor > 4 * MIN_CANVAS_SIDE:
            self.factor -= 1
        shape = height * self.factor, width * self.factor
        self._drawn = np.zeros(shape, np.uint8)

    def fill(self, outline: Points, shade: float = 1.0) -> None:
        """Fill a polygon with a shade from 0 to 1; where shapes overlap, the last one counts."""
        fine = np.clip((outline * self.factor - 0.5) * 2**SHIFT, -MAX_COORDINATE, MAX_COORDINATE)
        points = np.round(fine).astype(np.int32)
        cv2.fillPoly(self._drawn, [points], round(255 * shade), cv2.LINE_AA, SHIFT)

    def coverage(self, blur: float = 0.0) -> Layer:
        """Return the coverage (h, w), blurred by a Gaussian of `blur` pixels of the picture."""
        shrunk = cv2.resize(self._drawn, self.size[::-1], interpolation=cv2.INTER_AREA)
        coverage: Layer = np.asarray(shrunk, np.float32) / np.float32(255)
        if blur > 0:
            return np.asarray(cv2.GaussianBlur(coverage, (0, 0), blur), np.float32)
        return coverage.astype(np.float32)


def ribbon(path: Points, widths: NDArray[np.float64]) -> Points:
    """Return the outline of a line along a path (n, 2) with a width at each point (n,)."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1])[:, None], 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], 1) * widths[:, None] / 2
    return np.concatenate([path + across, (path - across)[::-1]])


def bar(start: Points, end: Points, width: float) -> Points:
    """Return the outline of a straight line from (2,) to (2,)."""
    return ribbon(np.stack([start, end]), np.full(2, width))


def margin_coverage(length: int, inset: float) -> NDArray[np.float32]:
    """Return the share of each pixel along a side (n,) that lies within `inset` of either end."""
    near = np.clip(inset - np.arange(length, dtype=np.float32), 0, 1)
    return np.asarray(np.maximum(near, near[::-1]), np.float32)
