"""The outline of a dermatoscope's field of view: a convex, roughly elliptical bright region.

The field is convex whatever the lens, the crop or the aspect ratio of the picture. A lesion or hair
that touches its rim is not, so the convex hull of the bright pixels restores what they hide.

Chosen: the constants, with all labelled ISIC 2018 images in view (benchmarks/artifacts.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

Points = NDArray[np.float64]
"""(m, 2) x and y, in pixels of the grid the field was found on; pixel 0 reaches from 0 to 1."""

ASPECTS = (0.75, 0.87, 1.0, 1.15, 1.33)
"""Width over height that a circle may have: pictures of 4:3 and 3:4 are often resized to
squares."""
TOLERANCE = 1.3
"""Pixels from an ellipse within which a point of the outline lies on it."""
MIN_ON_ELLIPSE = 0.5
"""Share of the outline that must lie on an ellipse before it is accepted."""
MAX_OUTSIDE = 0.03
"""Share of the outline that may lie outside the ellipse: the field cannot be larger than it."""
TRIPLETS = 120
"""Triplets of rim points that are tried."""
RIM_POINTS = 64
"""Points of the rim that are enough to tell how well an ellipse fits."""
MIN_FIELD, MIN_RIM = 12, 12
"""Pixels that a field must have, and points that its rim must have for an ellipse."""
OVERHANG = 0.6
"""Pixels by which the corners of the outermost bright pixels lie outside the field, on average."""


@dataclass(frozen=True)
class Outline:
    """Where the field of view ends, on a grid of side x side."""

    side: int
    hull: Points
    """Corners of the convex hull of the bright field."""
    ellipse: Points | None
    """Polygon of the ellipse that most of the hull follows; None if there is none."""
    depth: NDArray[np.float32]
    """(side, side) how many pixels the middle of each pixel lies inside the hull."""

    def outside(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return a mask (height, width), True outside both the hull and the ellipse."""
        page = Image.new("1", (width, height), 1)
        pen = ImageDraw.Draw(page)
        for polygon in (self.hull, self.ellipse):
            if polygon is not None:
                scaled = _inset(polygon, OVERHANG) * (width / self.side, height / self.side)
                # Pillow counts from the middles of pixels, and fills every pixel that it touches.
                points = _inset(scaled, 0.5) - 0.5
                pen.polygon([(float(x), float(y)) for x, y in points], fill=0)
        return np.asarray(page).copy()


def outline(field: NDArray[np.bool_]) -> Outline | None:
    """Return the outline of a bright field (side, side), or None if it is too small to have one."""
    rows = np.flatnonzero(field.any(1))
    if len(rows) < 3 or field.sum() < MIN_FIELD:
        return None
    side = field.shape[0]
    first = field[rows].argmax(1)
    last = side - field[rows, ::-1].argmax(1)
    corners = np.concatenate(
        [np.stack([x, y], 1) for x in (first, last) for y in (rows, rows + 1)]
    ).astype(np.float64)
    hull = ConvexHull(corners)
    polygon: Points = corners[hull.vertices]
    middle = np.arange(side, dtype=np.float32) + 0.5
    depth = np.full((side, side), np.inf, np.float32)
    for a, b, c in hull.equations.astype(np.float32):
        np.minimum(depth, (-a * middle)[None] - (b * middle + c)[:, None], out=depth)
    return Outline(side, polygon, _ellipse(_rim(polygon, side)), depth)


def _inset(polygon: Points, by: float) -> Points:
    """Move the corners of a polygon towards their mean, by so many pixels."""
    arms = polygon - polygon.mean(0)
    lengths = np.maximum(np.hypot(*arms.T), by + 1)[:, None]
    drawn: Points = polygon - arms / lengths * by
    return drawn


def _rim(polygon: Points, side: int) -> Points:
    """Return points about one pixel apart along the outline, without the edge of the picture."""
    points = []
    for start, end in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        along_edge = ((start == end) & ((start == 0) | (start == side))).any()
        if not along_edge:
            steps = max(1, round(float(np.hypot(*(end - start)))))
            points.append(start + (end - start) * ((np.arange(steps) + 0.5) / steps)[:, None])
    return np.concatenate(points) if points else np.empty((0, 2))


@lru_cache(maxsize=1)
def _triplets() -> NDArray[np.float64]:
    """Return places along the rim, 0 to 1 (TRIPLETS, 3), always the same ones."""
    return np.sort(np.random.default_rng(0).random((TRIPLETS, 3)), 1)


def _ellipse(rim: Points) -> Points | None:
    """Return the upright ellipse that most of the rim follows, as a polygon; None if there is none.

    For each aspect ratio, circles through three points of the rim are tried; the one that most of
    the rim lies on wins (RANSAC, Fischler and Bolles 1981).
    """
    if len(rim) < MIN_RIM:
        return None
    rim = rim[:: max(1, len(rim) // RIM_POINTS)]
    triplets = (_triplets() * len(rim)).astype(int)
    best, share = None, MIN_ON_ELLIPSE
    for aspect in ASPECTS:
        stretch = np.array([aspect**-0.5, aspect**0.5])
        points = rim * stretch
        centres, radii = _circles(points[triplets])
        away = np.hypot(*(points[:, None] - centres[None]).transpose(2, 0, 1)) - radii
        on = (np.abs(away) < TOLERANCE).mean(0) * ((away > TOLERANCE).mean(0) <= MAX_OUTSIDE)
        k = int(on.argmax())
        if on[k] > share:
            share = float(on[k])
            turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
            circle = centres[k] + radii[k] * np.stack([np.cos(turn), np.sin(turn)], 1)
            best = circle / stretch
    return best


def _circles(triplets: NDArray[np.float64]) -> tuple[Points, NDArray[np.float64]]:
    """Return centres (t, 2) and radii (t,) of the circles through three points each (t, 3, 2).

    Points on one line give a distant centre and a radius that fits nothing.
    """
    a = triplets[:, 0]
    (bx, by), (cx, cy) = (triplets[:, 1] - a).T, (triplets[:, 2] - a).T
    twice = 2 * (bx * cy - by * cx)
    twice = np.where(np.abs(twice) < 1e-6, 1e-6, twice)
    b, c = bx**2 + by**2, cx**2 + cy**2
    shift = np.stack([cy * b - by * c, bx * c - cx * b], 1) / twice[:, None]
    return a + shift, np.hypot(*shift.T)
