"""How much fine detail a picture lacks (Crete et al. 2007)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import Layer, reduced
from melaudit.artifacts.search.photometry import field_and_zone

SIDE = 288
"""Longer side of the reduced copy that is measured, in pixels; smaller pictures stay as they are.
Chosen: a round figure, not measured."""
LENGTH = 9
"""Length of the further blur, in pixels of the reduced copy (Crete et al. 2007)."""


def blurriness(image: RGB) -> float:
    """Return the share of the variation between neighbouring pixels that a further blur leaves.

    0 is sharp, 1 is blurred. The larger of the two directions counts, so that motion blur is seen.
    A picture of one colour has no detail to lose: 1.
    """
    return blurrinesses(image)[0]


def blurrinesses(image: RGB) -> tuple[float, float]:
    """Return the blurriness of the whole picture, and of the skin outside its middle."""
    small = reduced(image, SIDE)
    return _blurrinesses(small.tobytes(), (small.shape[0], small.shape[1]))


@lru_cache(maxsize=64)
def _blurrinesses(pixels: bytes, size: tuple[int, int]) -> tuple[float, float]:
    """Measure the pixels; cached for a few batches of pictures, because several detectors ask."""
    small = np.frombuffer(pixels, np.uint8).reshape(*size, 3)
    whole, around = _most_left(small, (None, field_and_zone(small)[1]))
    return whole, around


def _most_left(small: RGB, places: Sequence[Mask | None]) -> list[float]:
    """Return the larger share of the two directions for each mask (h, w); None is the picture."""
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    along = [_variation(grey, axis) for axis in (0, 1)]
    return [max(_left(*along[axis], place, axis) for axis in (0, 1)) for place in places]


def _variation(grey: NDArray[np.float32], axis: int) -> tuple[Layer, Layer]:
    """Return the variation along an axis of a grey picture (h, w), and how much a blur removes."""
    again = cv2.blur(grey, (1, LENGTH) if axis == 0 else (LENGTH, 1))
    before = np.abs(np.diff(grey, axis=axis))
    return before, np.maximum(before - np.abs(np.diff(again, axis=axis)), 0)


def _left(before: Layer, lost: Layer, where: Mask | None, axis: int) -> float:
    """Return the share of the variation along an axis that is left, where a mask (h, w) is True."""
    if where is not None:
        pairs = where[1:] & where[:-1] if axis == 0 else where[:, 1:] & where[:, :-1]
        before, lost = before[pairs], lost[pairs]
    total = float(before.sum(dtype=np.float64))
    return 1 - float(lost.sum(dtype=np.float64)) / total if total > 0 else 1.0
