"""Small marks in a picture: where they lie, how long and wide they are, and which are parallel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Mask
from melaudit.artifacts.picture import Layer

Values = NDArray[np.float64]
Pairs = NDArray[np.bool_]
"""(n, n), row and column a mark each."""

SIDE = 192
"""Longer side of the reduced copy on which thin things are looked for, in pixels."""
SLENDER = 1.7
"""Length over width from which a mark has a direction."""
TURN = 0.22
"""Radians by which two parallel marks may differ."""
ALONG = 0.85
"""Cosine between a mark and the way to its neighbour above which they lie end to end."""


@dataclass(frozen=True)
class Marks:
    """The connected parts of a response, one row each; units are pixels."""

    centre: Values
    """(n, 2) y and x."""
    angle: Values
    """(n,) of the long axis against the x axis, radians."""
    length: Values
    width: Values
    reach: Values
    """(n,) diagonal of the box around a mark: its extent even where it is bent."""
    area: Values
    strength: Values
    """(n,) mean response."""
    label: NDArray[np.int32]
    """(h, w) which part a pixel belongs to; 0 is none."""
    number: NDArray[np.int64]
    """(n,) what `label` calls each mark."""

    def __len__(self) -> int:
        return len(self.number)

    def chosen(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Marks:
        """Return some of the marks."""
        return Marks(
            centre=self.centre[rows],
            angle=self.angle[rows],
            length=self.length[rows],
            width=self.width[rows],
            reach=self.reach[rows],
            area=self.area[rows],
            strength=self.strength[rows],
            label=self.label,
            number=self.number[rows],
        )

    def strongest(self, most: int) -> Marks:
        """Return at most so many marks, those of the greatest summed response."""
        order = np.argsort(-self.area * self.strength, kind="stable")[:most]
        return self.chosen(np.sort(order))

    def mask(self) -> Mask:
        """Return where the marks lie (h, w)."""
        listed = np.zeros(int(self.label.max()) + 1, np.bool_)
        listed[self.number] = True
        where: Mask = listed[self.label]
        return where


def marks(response: Layer) -> Marks:
    """Return the connected parts of where a response (h, w) is above 0.

    Length and width are those of the bar that has the part's second moments.
    """
    count, label, stats, _ = cv2.connectedComponentsWithStats((response > 0).astype(np.uint8))
    y, x = np.nonzero(label)
    part, weight = label[y, x], response[y, x].astype(np.float64)
    total = np.maximum(np.bincount(part, weight, count), 1e-12)

    def mean(values: Values) -> Values:
        return np.asarray(np.bincount(part, weight * values, count) / total)

    middle_y, middle_x = mean(y.astype(np.float64)), mean(x.astype(np.float64))
    dy, dx = y - middle_y[part], x - middle_x[part]
    # A pixel is a square: its own second moment is a twelfth.
    yy, xx, xy = mean(dy * dy) + 1 / 12, mean(dx * dx) + 1 / 12, mean(dy * dx)
    spread = np.hypot(2 * xy, xx - yy)
    area = np.maximum(stats[:, cv2.CC_STAT_AREA], 1).astype(np.float64)
    found = Marks(
        centre=np.stack([middle_y, middle_x], 1),
        angle=0.5 * np.arctan2(2 * xy, xx - yy),
        length=np.sqrt(6 * (xx + yy + spread)),
        width=np.sqrt(6 * np.maximum(xx + yy - spread, 1 / 6)),
        reach=np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]).astype(float),
        area=area,
        strength=total / area,
        label=np.asarray(label, np.int32),
        number=np.arange(count),
    )
    return found.chosen(np.arange(1, count))


def distances(found: Marks) -> tuple[Values, Values]:
    """Return the ways (n, n, 2) from row to column and their lengths (n, n)."""
    way = found.centre[None] - found.centre[:, None]
    return way, np.hypot(way[..., 0], way[..., 1])


def ratio(values: Values) -> Values:
    """Return how many times larger the larger of each two values is (n, n)."""
    logs = np.log(values)
    return np.asarray(np.exp(np.abs(logs[None] - logs[:, None])))


def parallel(found: Marks, near: Pairs) -> Pairs:
    """Return which pairs of near marks are alike, parallel and side by side."""
    way, far = distances(found)
    slender = found.length / found.width > SLENDER
    half = np.pi / 2
    turn = np.abs((found.angle[None] - found.angle[:, None] + half) % np.pi - half)
    axis = np.stack([np.sin(found.angle), np.cos(found.angle)], 1)
    along = np.abs((way * axis[:, None]).sum(2)) < ALONG * np.maximum(far, 1e-9)
    alike = (ratio(found.length) < 2.5) & (ratio(found.strength) < 2.5)
    pairs: Pairs = near & alike & slender & slender[:, None] & (turn < TURN) & along
    return pairs
