"""Blobs: the connected components of a response, their place, shape and which are parallel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Mask
from melaudit.artifacts.picture import Layer
from melaudit.artifacts.search.components import components

Values = NDArray[np.float64]
"""(n,) one per blob, or (n, n) one per pair of blobs."""
Pairs = NDArray[np.bool_]
"""(n, n), one row and one column per blob."""

SIDE = 192
"""Longer side of the reduced copy on which thin artifacts are looked for, in pixels. The images on
which their finders were tuned have 180 pixels and stay as they are."""
LOG_OFFSET = 12.0
"""Levels of 255 added before a logarithm, so that noise in the dark is no contrast."""
MIN_ELONGATION = 1.7
"""Length over width from which a blob has a direction."""
MAX_TURN = 0.22
"""Radians by which two parallel blobs may differ."""
MAX_ALIGNMENT = 0.85
"""Cosine between the axis of a blob and the way to its neighbour from which they lie end to end."""
MAX_RATIO = 2.5
"""How many times longer or stronger one blob of a parallel pair may be than the other."""


@dataclass(frozen=True)
class Blobs:
    """The connected components of a response, one row each; lengths are in pixels."""

    centre: Values
    """(n, 2) y and x."""
    angle: Values
    """(n,) of the long axis against the x axis, in radians."""
    length: Values
    width: Values
    extent: Values
    """(n,) diagonal of the bounding box: the reach of a blob even if it is bent."""
    area: Values
    strength: Values
    """(n,) mean response."""
    label: NDArray[np.int32]
    """(h, w) the component of each pixel; 0 is none."""
    number: NDArray[np.int64]
    """(n,) the number of each blob in `label`."""

    def __len__(self) -> int:
        return len(self.number)

    def chosen(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Blobs:
        """Return some of the blobs."""
        return Blobs(
            centre=self.centre[rows],
            angle=self.angle[rows],
            length=self.length[rows],
            width=self.width[rows],
            extent=self.extent[rows],
            area=self.area[rows],
            strength=self.strength[rows],
            label=self.label,
            number=self.number[rows],
        )

    def strongest(self, count: int) -> Blobs:
        """Return at most `count` blobs, those with the largest summed response."""
        order = np.argsort(-self.area * self.strength, kind="stable")[:count]
        return self.chosen(np.sort(order))

    def mask(self) -> Mask:
        """Return where the blobs lie (h, w)."""
        listed = np.zeros(int(self.label.max()) + 1, np.bool_)
        listed[self.number] = True
        where: Mask = listed[self.label]
        return where


def blobs(response: Layer) -> Blobs:
    """Return the connected components of the pixels where a response (h, w) is above 0.

    Length and width are those of the bar that has the same second moments.
    """
    count, label, stats, _ = components(response > 0)
    there = np.flatnonzero(label)
    y, x = np.divmod(there, label.shape[1])
    component, weight = label.ravel()[there], response.ravel()[there].astype(np.float64)
    total = np.maximum(np.bincount(component, weight, count), 1e-12)

    def mean(values: Values) -> Values:
        return np.asarray(np.bincount(component, weight * values, count) / total)

    middle_y, middle_x = mean(y.astype(np.float64)), mean(x.astype(np.float64))
    dy, dx = y - middle_y[component], x - middle_x[component]
    # A pixel is a square: its own second moment is 1/12.
    yy, xx, xy = mean(dy * dy) + 1 / 12, mean(dx * dx) + 1 / 12, mean(dy * dx)
    spread = np.hypot(2 * xy, xx - yy)
    area = np.maximum(stats[:, cv2.CC_STAT_AREA], 1).astype(np.float64)
    found = Blobs(
        centre=np.stack([middle_y, middle_x], 1),
        angle=0.5 * np.arctan2(2 * xy, xx - yy),
        length=np.sqrt(6 * (xx + yy + spread)),
        width=np.sqrt(6 * np.maximum(xx + yy - spread, 1 / 6)),
        extent=np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]).astype(float),
        area=area,
        strength=total / area,
        label=np.asarray(label, np.int32),
        number=np.arange(count),
    )
    return found.chosen(np.arange(1, count))


def distances(found: Blobs) -> tuple[Values, Values]:
    """Return the vectors (n, n, 2) from row to column, y and x, and their lengths (n, n)."""
    way = found.centre[None] - found.centre[:, None]
    return way, np.hypot(way[..., 0], way[..., 1])


def ratio(values: Values) -> Values:
    """Return how many times larger the larger of each two values is (n, n)."""
    logs = np.log(values)
    return np.asarray(np.exp(np.abs(logs[None] - logs[:, None])))


def parallel(found: Blobs, near: Pairs) -> Pairs:
    """Return which pairs of near blobs are alike, parallel and side by side."""
    way, far = distances(found)
    slender = found.length / found.width > MIN_ELONGATION
    half = np.pi / 2
    turn = np.abs((found.angle[None] - found.angle[:, None] + half) % np.pi - half)
    axis = np.stack([np.sin(found.angle), np.cos(found.angle)], 1)
    along = np.abs((way * axis[:, None]).sum(2)) < MAX_ALIGNMENT * np.maximum(far, 1e-9)
    alike = (ratio(found.length) < MAX_RATIO) & (ratio(found.strength) < MAX_RATIO)
    pairs: Pairs = near & alike & slender & slender[:, None] & (turn < MAX_TURN) & along
    return pairs
