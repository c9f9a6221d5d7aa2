"""Show a picture under another lamp."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB


def relit(image: RGB, gains: NDArray[np.float64]) -> RGB:
    """Return the picture under a lamp that is `gains` (3,) times as strong in red, green and blue.

    Gains act on linear light and not on the stored values (von Kries 1902; the curve of sRGB).
    """
    values = np.arange(256) / 255
    light = _linear(values)[:, None] * gains
    table = np.round(255 * _stored(np.clip(light, 0, 1))).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def lamp(a: float, b: float, lightness: float = 80.0) -> NDArray[np.float64]:
    """Return the gains (3,) of the lamp under which grey of that L* has the hue a*, b*."""
    lab = np.array([[[lightness, a, b], [lightness, 0, 0]]], np.float32)
    shown, grey = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)[0].astype(np.float64)
    gains: NDArray[np.float64] = _linear(np.clip(shown, 0, 1)) / _linear(np.clip(grey, 0, 1))
    return gains


def _linear(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return linear light, 0 to 1, from stored values, 0 to 1 (IEC 61966-2-1)."""
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def _stored(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return stored values, 0 to 1, from linear light, 0 to 1 (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
