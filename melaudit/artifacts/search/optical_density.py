"""Optical density: how much darker each pixel is than the skin beneath it, per channel.

What lies on skin absorbs light (law of Beer and Lambert): the logarithm of skin over pixel adds up
over layers, and the channel that is absorbed most tells pigment, ink and blood apart. The skin
beneath is a smooth surface, fitted robustly to the pixels that most of the picture agrees with.

Chosen: the constants, with all 51 labelled HAM10000 images in view (docs/artifacts.md).
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.picture import Layer

GRID = 24
"""Side of the grid on which the skin is fitted, in cells."""
ROUNDS = 4
"""Rounds of reweighted least squares."""
DARKER, LIGHTER = 0.08, 0.25
"""Distance below and above the surface, in density, at which a pixel loses half its weight. Pixels
darker than skin are more often something else than lighter ones."""
OFFSET = 4.0
"""Levels of 255 added before the logarithm, so that black has a finite density."""


def optical_density(small: RGB) -> Layer:
    """Return the density (h, w, 3) of an image (h, w, 3): 0 is skin, 0.7 is half its light."""
    height, width = small.shape[:2]
    light = np.asarray(cv2.LUT(small, _logarithms()), np.float32)
    coarse = np.asarray(cv2.resize(light, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float32)
    coarse = coarse.reshape(-1, 3)
    terms = _terms(GRID, GRID)
    # The fit starts from the lighter half of the grid: rings and lesions are darker than skin.
    grey = coarse.mean(1)
    weight = (grey >= np.median(grey)).astype(np.float32)
    for _ in range(ROUNDS):
        rooted = np.sqrt(weight + 1e-3)[:, None]
        # A small ridge penalty keeps the surface flat where no skin is seen.
        ridge = np.diag(np.array([0, 1, 1, 1, 1, 1], np.float32)) * 0.1 * np.sqrt(weight.sum() + 1)
        design = np.concatenate([terms * rooted, ridge])
        aim = np.concatenate([coarse * rooted, np.zeros((6, 3), np.float32)])
        surface = np.linalg.solve(design.T @ design, design.T @ aim)
        away = (coarse - terms @ surface).mean(1)
        scale = np.where(away < 0, DARKER, LIGHTER)
        weight = (1 / (1 + (away / scale) ** 2)).astype(np.float32)
    skin = (_terms(height, width) @ surface).reshape(height, width, 3)
    return np.asarray(np.subtract(skin, light, out=light), np.float32)


@lru_cache(maxsize=1)
def _logarithms() -> NDArray[np.float32]:
    """Return the logarithm of each level of light (256,)."""
    return np.asarray(np.log(np.arange(256, dtype=np.float32) + OFFSET), np.float32)


@lru_cache(maxsize=8)
def _terms(height: int, width: int) -> NDArray[np.float32]:
    """Return the terms of a quadratic surface at each pixel (h * w, 6)."""
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1)[None]
    x, y = (np.broadcast_to(axis, (height, width)).ravel() for axis in (x, y))
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], 1)
