"""Draw thin things smoothly at any size: on a finer canvas that is then shrunk to a cover.

A cover (h, w) says how much of each pixel a thing covers, from 0 to 1; so a hair that is half a
pixel wide is half as strong, and not gone.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.picture import Layer

Points = NDArray[np.float64]
"""(n, 2) x and y in pixels of the picture; the middle of the first pixel is (0.5, 0.5)."""

FINE = 768
"""Shorter side of the canvas, in pixels, below which it is made finer than the picture."""
FINEST = 12
SHIFT = 4
"""Binary digits of a pixel that OpenCV's drawing works to."""
FARTHEST = 1e6
"""OpenCV draws nothing beyond some millions of pixels."""


class Canvas:
    """A place to draw filled shapes for a picture of height x width."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width
        self.factor = int(np.clip(np.ceil(FINE / min(height, width)), 1, FINEST))
        while self.factor > 1 and max(height, width) * self.factor > 4 * FINE:
            self.factor -= 1
        shape = height * self.factor, width * self.factor
        self._ink = np.zeros(shape, np.uint8)

    def fill(self, outline: Points, shade: float = 1.0) -> None:
        """Fill a polygon; where shapes overlap the last one counts."""
        fine = np.clip((outline * self.factor - 0.5) * 2**SHIFT, -FARTHEST, FARTHEST)
        points = np.round(fine).astype(np.int32)
        cv2.fillPoly(self._ink, [points], round(255 * shade), cv2.LINE_AA, SHIFT)

    def cover(self, soft: float = 0.0) -> Layer:
        """Return what has been drawn (h, w), blurred by `soft` pixels of the picture."""
        shrunk = cv2.resize(self._ink, self.size[::-1], interpolation=cv2.INTER_AREA)
        cover: Layer = np.asarray(shrunk, np.float32) / np.float32(255)
        if soft > 0:
            return np.asarray(cv2.GaussianBlur(cover, (0, 0), soft), np.float32)
        return cover.astype(np.float32)


def ribbon(path: Points, widths: NDArray[np.float64]) -> Points:
    """Return the outline of a line along a path (n, 2) that is so wide at each point (n,)."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1])[:, None], 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], 1) * widths[:, None] / 2
    return np.concatenate([path + across, (path - across)[::-1]])


def bar(start: Points, end: Points, width: float) -> Points:
    """Return the outline of a straight line from (2,) to (2,)."""
    return ribbon(np.stack([start, end]), np.full(2, width))
