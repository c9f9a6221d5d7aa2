"""Whether a group is parted from the others, or only the thick of one cloud.

Seen along the direction that tells the group from the rest best, two kinds of images leave a
valley between two hills; a lopsided or long-tailed cloud of one kind leaves one hill. The test is
Silverman's (1981): how smooth must the density be made to lose its second hill, and how often does
a sample from that smooth density show one again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.embedding import Points

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DRAWS = 199
CELLS = 512
"""Of the grid on which densities are computed."""
TRIMMED_SHARE = 0.025
"""Share of the points at either end that cannot make a hill of their own."""
RIDGE = 0.1
"""Share of the mean variance added to every direction, so that few points fix no direction."""
MAX_POINTS = 4000
"""Points looked at: more make the test sharper than any gap needs."""


def separation_p_value(points: Points, inside: Mask, seed: int) -> float:
    """Return the p-value of "group and rest are one hill", for points (n, k), inside (n,).

    The direction is found on one half of the points and looked along on the other, so that a gap
    is not made by looking for it. 1 where a half has nothing of the group or of the rest.
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
    """Return the direction (k,) that tells two groups of points apart best (Fisher 1936)."""
    within = len(own) * np.cov(own.T, bias=True) + len(rest) * np.cov(rest.T, bias=True)
    within = np.atleast_2d(within) / (len(own) + len(rest))
    level = np.trace(within) / len(within)
    ridge = RIDGE * level + np.finfo(float).tiny
    direction: Floats = np.linalg.solve(
        within + ridge * np.eye(len(within)), own.mean(0) - rest.mean(0)
    )
    return direction


def unimodality_p_value(values: Floats, rng: np.random.Generator) -> float:
    """Return the p-value of one hill in the density of the values (n,) (Silverman 1981)."""
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
    """Return the smallest width of a Gaussian kernel that leaves one hill, to one in a thousand."""
    low, high = float(edges[1] - edges[0]), float(edges[-1] - edges[0])
    while high / low > 1.001:
        middle = float(np.sqrt(low * high))
        if count_modes(counts, edges, middle) > 1:
            low = middle
        else:
            high = middle
    return high


def count_modes(counts: NDArray[np.int64], edges: Floats, width: float) -> int:
    """Count the local maxima of the counts (cells,) smoothed by a Gaussian of that width."""
    cell, size = edges[1] - edges[0], 4 * len(counts)
    lag = np.minimum(np.arange(size), size - np.arange(size)) * cell
    kernel = np.exp(-0.5 * (lag / width) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(counts, size) * np.fft.rfft(kernel), size)[: len(counts)]
    smooth = np.where(smooth < 1e-9 * smooth.max(), 0, smooth)  # the transform's own noise
    slope = np.sign(np.diff(smooth))
    slope = slope[slope != 0]
    return int(((slope[:-1] > 0) & (slope[1:] < 0)).sum())
