"""Whether a group is separated from the rest of its class, or only the dense middle of one cloud.

Project the images on the direction that separates group and rest best. Two populations then leave
a density with two modes and an antimode between them. One population leaves one mode, even where it
is skewed or has long tails. Silverman's test (1981) asks how far the density must be smoothed
before its second mode is lost, and how often a sample from the smoothed density has a second mode.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.embedding import Points

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DRAWS = 199
"""Samples of the smoothed density; the smallest p-value is 1 / 200."""
CELLS = 512
"""Cells of the grid on which densities are computed."""
TRIMMED_SHARE = 0.025
"""Share of the points at either end that cannot make a mode of their own. Chosen, not measured."""
RIDGE = 0.1
"""Share of the mean variance that is added to every direction, so that the covariance of few
points can be inverted. Chosen, not measured."""
MAX_POINTS = 4000
"""Points in the test, at most: more are slower and decide no gap of a size that matters. Chosen,
not measured."""


def separation_p_value(points: Points, inside: Mask, seed: int) -> float:
    """Return the p-value of "group and rest have one mode in common" (Silverman 1981).

    points: (n, k) embedded images; inside: (n,) whether an image is in the group. The direction is
    fitted on one half of the points and used on the other, so that fitting cannot make a gap.
    Returns 1 where a half has fewer than two images of the group or of the rest.
    """
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(len(points), min(len(points), MAX_POINTS), replace=False))
    points, inside = points[some].astype(np.float64), inside[some]
    half = rng.permutation(len(points)) % 2 == 1
    places = np.empty(len(points))
    for fitted in (half, ~half):
        own, rest = points[fitted & inside], points[fitted & ~inside]
        if len(own) < 2 or len(rest) < 2:
            return 1.0
        direction = discriminant(own, rest)
        step = (own.mean(0) - rest.mean(0)) @ direction
        if step <= 0:
            return 1.0
        places[~fitted] = (points[~fitted] - rest.mean(0)) @ direction / step
    return unimodality_p_value(places, rng)


def discriminant(own: Floats, rest: Floats) -> Floats:
    """Return the direction (k,) that separates own (n, k) from rest (m, k) best (Fisher 1936)."""
    within = len(own) * np.cov(own.T, bias=True) + len(rest) * np.cov(rest.T, bias=True)
    within = np.atleast_2d(within) / (len(own) + len(rest))
    level = np.trace(within) / len(within)
    ridge = RIDGE * level + np.finfo(float).tiny
    direction: Floats = np.linalg.solve(
        within + ridge * np.eye(len(within)), own.mean(0) - rest.mean(0)
    )
    return direction


def unimodality_p_value(values: Floats, rng: np.random.Generator) -> float:
    """Return the p-value of one mode in the density of the values (n,) (Silverman 1981)."""
    low, high = np.quantile(values, [TRIMMED_SHARE, 1 - TRIMMED_SHARE])
    if high <= low:
        return 1.0
    values = np.clip(values, low, high)
    margin = (high - low) / 2
    edges = np.linspace(low - margin, high + margin, CELLS + 1)
    width = critical_width(np.histogram(values, edges)[0], edges)
    shrink = np.sqrt(1 + width**2 / values.var())
    again = 0
    for _ in range(DRAWS):
        drawn = rng.choice(values, len(values)) + width * rng.normal(size=len(values))
        drawn = values.mean() + (drawn - values.mean()) / shrink
        counts = np.histogram(np.clip(drawn, edges[0], edges[-1]), edges)[0]
        again += count_modes(counts, edges, width) > 1
    return (again + 1) / (DRAWS + 1)


def critical_width(counts: NDArray[np.int64], edges: Floats) -> float:
    """Return the smallest width of a Gaussian kernel that leaves one mode, to one in a thousand."""
    low, high = float(edges[1] - edges[0]), float(edges[-1] - edges[0])
    while high / low > 1.001:
        middle = float(np.sqrt(low * high))
        if count_modes(counts, edges, middle) > 1:
            low = middle
        else:
            high = middle
    return high


def count_modes(counts: NDArray[np.int64], edges: Floats, width: float) -> int:
    """Count the modes (local maxima) of counts (cells,) after smoothing by a Gaussian kernel.

    edges: (cells + 1,) limits of the cells; width: standard deviation of the kernel, in their unit.
    """
    cell, size = edges[1] - edges[0], 4 * len(counts)
    lag = np.minimum(np.arange(size), size - np.arange(size)) * cell
    kernel = np.exp(-0.5 * (lag / width) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(counts, size) * np.fft.rfft(kernel), size)[: len(counts)]
    smooth = np.where(smooth < 1e-9 * smooth.max(), 0, smooth)  # the transform's own noise
    slope = np.sign(np.diff(smooth))
    slope = slope[slope != 0]
    return int(((slope[:-1] > 0) & (slope[1:] < 0)).sum())
