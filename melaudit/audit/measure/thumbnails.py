"""Tiny pictures of all images: how alike a group looks, and which images are near-duplicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melaudit.measurements import CHUNK, SomeRows

SIDE = 16
SAME = 0.97
"""Correlation of two thumbnails, each less the mean of all, from which one picture is the other
again: another compression, another size, a small shift. Chosen, not measured."""
MAX_COMPARED = 2000
"""Images compared with each other, at most."""

Thumbnails = NDArray[np.uint8]
Pictures = Thumbnails | SomeRows
"""(n, SIDE, SIDE, 3)."""


def thumbnail(image: NDArray[np.uint8]) -> Thumbnails:
    """Shrink an image (h, w, 3) to (SIDE, SIDE, 3)."""
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX))


def likeness(thumbnails: Pictures) -> float:
    """Return how alike the pictures (n, SIDE, SIDE, 3) are: their mean correlation, pair by pair.

    NaN for fewer than two.
    """
    n = len(thumbnails)
    if n < 2:
        return float("nan")
    whole, own = np.zeros(3 * SIDE**2), 0.0
    for start in range(0, n, CHUNK):
        some = thumbnails[start : start + CHUNK]
        unit = _unit(some.reshape(len(some), -1).astype(np.float32))
        whole += unit.sum(0, dtype=np.float64)
        own += float(np.square(unit).sum(dtype=np.float64))
    # The sum over all pairs is the squared length of the sum, less each picture with itself.
    return float((np.square(whole).sum() - own) / (n * (n - 1)))


def duplicated(thumbnails: Pictures, common: NDArray[np.float32]) -> float:
    """Return the share of the pictures (n, SIDE, SIDE, 3) that have a near-duplicate among them.

    common: (SIDE, SIDE, 3) the mean picture of all, which is no reason to call two the same.
    """
    flat = thumbnails[:MAX_COMPARED].astype(np.float32) - common
    unit = _unit(flat.reshape(len(flat), -1))
    if len(unit) < 2:
        return 0.0
    nearest = unit @ unit.T
    np.fill_diagonal(nearest, -1)
    return float((nearest.max(1) >= SAME).mean())


def _unit(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre each row and give it length 1; an even picture stays 0."""
    centred = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.zeros_like(centred)
    np.divide(centred, length, out=unit, where=length > 1e-6)
    return unit
