"""How much darker than the skin beneath each pixel is, channel by channel.

What lies on skin takes light from it (Beer and Lambert): the logarithm of skin over pixel adds up
over layers and tells pigment, ink and blood apart by the channel they take most of. The skin
beneath is a smooth surface fitted to what most of the picture shows.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.picture import Layer

GRID = 24
"""Side of the grid the skin is fitted on."""
ROUNDS = 4
DARKER, LIGHTER = 0.08, 0.25
"""Distance below and above the surface at which a pixel loses half its weight in the fit: what is
darker than skin is more often something else than what is lighter."""
DARKEST = 4.0
"""Levels added before the logarithm, so that black is not infinitely dark."""


def absorption(small: RGB) -> Layer:
    """Return the density (h, w, 3) over the skin beneath: 0 is skin, .7 is half its light."""
    height, width = small.shape[:2]
    light = np.log(small.astype(np.float32) + DARKEST)
    coarse = np.asarray(cv2.resize(light, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float32)
    coarse = coarse.reshape(-1, 3)
    terms = _terms(GRID, GRID)
    # The grid's own lighter half starts the fit: rings and lesions are darker than skin.
    grey = coarse.mean(1)
    weight = (grey >= np.median(grey)).astype(np.float32)
    for _ in range(ROUNDS):
        rooted = np.sqrt(weight + 1e-3)[:, None]
        # A little of a flat surface keeps the fit from running off where no skin is seen.
        ridge = np.diag(np.array([0, 1, 1, 1, 1, 1], np.float32)) * 0.1 * np.sqrt(weight.sum() + 1)
        design = np.concatenate([terms * rooted, ridge])
        aim = np.concatenate([coarse * rooted, np.zeros((6, 3), np.float32)])
        surface = np.linalg.solve(design.T @ design, design.T @ aim)
        away = (coarse - terms @ surface).mean(1)
        scale = np.where(away < 0, DARKER, LIGHTER)
        weight = (1 / (1 + (away / scale) ** 2)).astype(np.float32)
    skin = (_terms(height, width) @ surface).reshape(height, width, 3)
    return np.asarray(skin - light, np.float32)


@lru_cache(maxsize=8)
def _terms(height: int, width: int) -> NDArray[np.float32]:
    """Return (h * w, 6) the terms of a quadratic surface."""
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1)[None]
    x, y = (np.broadcast_to(axis, (height, width)).ravel() for axis in (x, y))
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], 1)
