"""Embedding of images by how they were decided: few dimensions, bounded memory.

The number of components is not a setting: those are kept whose variance exceeds what the same
features give when they are shuffled (parallel analysis, Horn 1965). Features that do not vary
together leave none, and then there is nothing to group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from sklearn.utils.extmath import randomized_svd

from melaudit.measurements import CHUNK, Features

Points = NDArray[np.float32]

MAX_FITTED_ROWS = 10_000
"""Rows from which components are computed, at most."""
SHUFFLES = 3
"""Shuffled sets whose largest variance a component must exceed (parallel analysis, Horn 1965)."""
MIN_COMPONENTS, MAX_COMPONENTS = 3, 12
"""Components kept: on a line or a plane chance alone leaves gaps, and in many dimensions distances
lose their meaning. Chosen, not measured."""


@dataclass(frozen=True)
class Projection:
    """Principal components of some features."""

    centre: Points
    """(d,)"""
    axes: Points
    """(k, d)"""
    scale: float
    """The points' total standard deviation: divided out, so that all embeddings weigh the same."""

    def apply(self, features: Features) -> Points:
        """Project (n, d) to (n, k), in chunks of rows."""
        out = np.empty((len(features), len(self.axes)), np.float32)
        for start in range(0, len(features), CHUNK):
            some = np.asarray(features[start : start + CHUNK], np.float32) - self.centre
            out[start : start + CHUNK] = some @ self.axes.T / self.scale
        return out


def fit(features: Features, seed: int, components: int | None = None) -> Projection | None:
    """Fit the projection of (n, d) features; None when they do not vary together.

    `components` takes so many, as a null must have as many as the data.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(features), min(len(features), MAX_FITTED_ROWS), replace=False))
    some = np.asarray(features[chosen], np.float32)
    centre = some.mean(0)
    some = some - centre
    if not some.any():
        return None
    count = min(components or MAX_COMPONENTS, *some.shape)
    axes, variances = _components(some, count, seed)
    kept = count
    if components is None:
        shuffles = [_components(shuffled(some, rng), count, seed)[1] for _ in range(SHUFFLES)]
        by_chance = np.max(shuffles, 0)
        kept = int(np.cumprod(variances > by_chance).sum())
        if not kept:
            return None
        kept = min(max(kept, MIN_COMPONENTS), count)
    return Projection(centre, axes[:kept], float(np.sqrt(variances[:kept].sum())))


def shuffled(features: Points, rng: np.random.Generator) -> Points:
    """Rotate the features (n, d) at random, then shuffle each column by itself, and once more.

    What the features do together goes. The rotation (random signs, then a cosine transform) comes
    first because a single channel may hold a group, which shuffling alone would leave in place;
    the second round mixes what one rotation left of it in every column.
    """
    for _ in range(2):
        signs = rng.choice(np.array([-1, 1], np.float32), features.shape[1])
        features = rng.permuted(dct(features * signs, norm="ortho", axis=1), axis=0)
    return features


def finite(features: Features) -> NDArray[np.bool_]:
    """Tell which rows of features (n, d) have finite values only."""
    out = np.empty(len(features), np.bool_)
    for start in range(0, len(features), CHUNK):
        out[start : start + CHUNK] = np.isfinite(features[start : start + CHUNK]).all(1)
    return out


def pooled(maps: NDArray[np.floating], cells: int = 8) -> Points:
    """Pool maps (n, h, w) to (n, cells * cells): the place on the picture, not the pixel.

    A side that `cells` does not divide stays as it is.
    """
    n, h, w = maps.shape
    rows, columns = (cells if side % cells == 0 else side for side in (h, w))
    out = np.empty((n, rows * columns), np.float32)
    for start in range(0, n, CHUNK):
        some = np.asarray(maps[start : start + CHUNK], np.float32)
        blocks = some.reshape(len(some), rows, h // rows, columns, w // columns)
        out[start : start + CHUNK] = blocks.sum((2, 4)).reshape(len(some), -1)
    return out


def _components(centred: Points, count: int, seed: int) -> tuple[Points, NDArray[np.float64]]:
    """Return axes (count, d) and their variances (count,)."""
    _, singular, axes = randomized_svd(centred, count, random_state=seed)
    return axes.astype(np.float32), singular.astype(float) ** 2 / len(centred)
