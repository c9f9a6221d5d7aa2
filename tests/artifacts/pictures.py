"""Drawn pictures of skin that the tests of the artifacts share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

RGB = NDArray[np.uint8]
FAIR, TAN, DARK = (224, 178, 158), (176, 124, 96), (84, 56, 44)


def skin(
    height: int = 200, width: int = 200, colour: tuple[int, int, int] = FAIR, seed: int = 0
) -> RGB:
    """Skin: a colour, mottled at two scales."""
    rng = np.random.default_rng(seed)
    mottle = ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), max(height, width) / 25)
    mottle = 0.03 * mottle / max(float(mottle.std()), 1e-6)
    mottle = mottle + rng.normal(0, 0.012, (height, width))
    return np.asarray((np.array(colour) * (1 + mottle[..., None])).clip(0, 255), np.uint8)


def lesion(image: RGB, size: float = 0.17) -> RGB:
    """The picture with a brown spot a little off its middle."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    side = min(height, width)
    away = np.hypot(y - 0.52 * height, 1.15 * (x - 0.47 * width)) / side
    weight = ndimage.gaussian_filter((away < size).astype(float), 0.012 * side)[..., None]
    mixed = image * (1 - weight * (1 - np.array([0.5, 0.42, 0.38])))
    return np.asarray(mixed.clip(0, 255), np.uint8)


def pictures() -> list[RGB]:
    """Skin of three tones, with a lesion."""
    return [lesion(skin(200, 260, colour, seed)) for seed, colour in enumerate((FAIR, TAN, DARK))]


def root_mean_square(before: RGB, after: RGB, where: NDArray[np.bool_]) -> float:
    """Root mean square change, summed pixel by pixel in whole numbers."""
    difference = after.astype(int)[where] - before.astype(int)[where]
    return float((difference**2).mean() ** 0.5)
