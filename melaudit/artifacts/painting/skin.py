"""The picture's own skin: its colour, and noise with the mottling of its skin.

Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import Layer, reduced

SAMPLE = 64
"""Longer side of the reduced copy from which the skin colour is read, in pixels."""
WINDOW = 256
"""Side of the middle of the picture on which the mottling is measured, in pixels."""
MOTTLE = (1 / 200, 1 / 60)
"""Size of the fine and the coarse spots of skin, as shares of the longer side."""
MAX_MOTTLE = 6.0
"""Standard deviation of the noise in one band at most, in levels of 255."""


def skin_colour(image: RGB, avoid: Mask | None = None) -> NDArray[np.float32]:
    """Return the picture's own skin colour (3,), in levels of 255: the median of its lighter half.

    Pixels in `avoid` (h, w) are left out, and so is the lightest twentieth, where glints are.
    """
    small = reduced(image, SAMPLE)
    pixels = small.reshape(-1, 3).astype(np.float32)
    if avoid is not None:
        size = small.shape[1], small.shape[0]
        away = cv2.resize(avoid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).ravel()
        pixels = pixels[away == 0] if (away == 0).any() else pixels
    light = pixels.mean(1)
    low, high = np.percentile(light, [50, 95])
    lighter = (light >= low) & (light <= high)
    # Of two or three pixels, none may lie between the percentiles.
    colour: NDArray[np.float32] = np.median(pixels[lighter] if lighter.any() else pixels, 0)
    return colour.astype(np.float32)


def smooth_noise(height: int, width: int, grain: float, rng: np.random.Generator) -> Layer:
    """Return smooth noise (h, w) with mean 0, root mean square 1 and spots `grain` pixels wide."""
    step = max(grain, 1.0)
    rows, columns = (int(np.ceil(n / step)) + 3 for n in (height, width))
    coarse = rng.standard_normal((rows, columns), np.float32)
    size = max(width, round(columns * step)), max(height, round(rows * step))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
    noise = np.asarray(fine - fine.mean(), np.float32)
    layer: Layer = noise / max(float(np.sqrt((noise**2).mean())), 1e-6)
    return layer


def mottle(image: RGB, avoid: Mask, rng: np.random.Generator) -> Layer:
    """Return noise (h, w, 1) in levels of 255, as strong as that of the skin outside `avoid`.

    The strength is measured robustly (median of the absolute values) in three bands of spot size,
    so that neither hairs nor lesions count.
    """
    height, width = avoid.shape
    rows, columns = (
        slice((n - WINDOW) // 2, (n + WINDOW) // 2) if n > WINDOW else slice(None)
        for n in (height, width)
    )
    grey = cv2.cvtColor(np.ascontiguousarray(image[rows, columns]), cv2.COLOR_RGB2GRAY)
    kept = ~avoid[rows, columns]
    noise = np.zeros((height, width), np.float32)
    side = max(height, width)
    finer = np.asarray(grey, np.float32)
    for size in (1.0, *(max(share * side, 1.5) for share in MOTTLE)):
        coarser = np.asarray(cv2.GaussianBlur(finer, (0, 0), size), np.float32)
        band = np.abs(finer - coarser)[kept]
        strength = 1.48 * float(np.median(band)) if band.size else 2.0
        noise += min(strength, MAX_MOTTLE) * smooth_noise(height, width, 1.5 * size, rng)
        finer = coarser
    return noise[..., None]
