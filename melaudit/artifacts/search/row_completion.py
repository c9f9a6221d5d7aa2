"""Marks that stand in a row, as ticks and letters do: those that a finder missed are added."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask

SIDE = 320
"""Longer side of the reduced copy on which rows are completed, in pixels."""
LONG = 2.0
"""Length over width from which marks make a row."""
FURTHER = 1.0
"""How far beyond its ends a row is followed at a time, in lengths of the row."""
TIMES = 4
"""How often it is followed, as long as it grows."""
WIDER = 1.25
"""Width of the band that is searched, in widths of the row."""
HIDES = 0.09
"""Side of the window in which the ground is told from a mark, in longer sides."""
ALIKE = 0.5
"""Contrast of a mark that was missed, in that of the row."""
LARGEST = 3.0
"""Area of a mark that was missed, in that of the usual one of the row."""


def completed(image: RGB, mask: Mask) -> Mask:
    """Return a mask (h, w) of marks in a row with those that the row lacks.

    Looked for is, along the row and beyond both its ends, what stands out from the ground as the
    marks of the row do, lighter or darker, and is no larger.
    """
    height, width = mask.shape
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    if _band(small) is None:
        return mask
    grey = cv2.cvtColor(
        cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA),
        cv2.COLOR_RGB2GRAY,
    )
    marks = small
    for _ in range(TIMES):
        band = _band(marks)
        grown = marks if band is None else _like(np.asarray(grey, np.uint8), marks, band)
        if np.array_equal(grown, marks):
            break
        marks = grown
    full = cv2.resize(marks.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    more: Mask = mask | (full > 0)
    return more


def _band(mask: Mask) -> Mask | None:
    """Return the band (h, w) in which a row lies and goes on; None where there is no row."""
    points = np.argwhere(mask)[:, ::-1].astype(np.float32)
    if len(points) < 4:
        return None
    centre, (first, second), angle = cv2.minAreaRect(points)
    length, thick = max(first, second), max(min(first, second), 2.0)
    if length < LONG * thick:
        return None
    turn = np.deg2rad(angle + (0 if first >= second else 90))
    along = np.array([np.cos(turn), np.sin(turn)])
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    away = np.stack([x - centre[0], y - centre[1]], -1)
    across = np.abs(away @ np.array([-along[1], along[0]]))
    inside: Mask = (np.abs(away @ along) <= (0.5 + FURTHER) * length) & (
        across <= 0.5 * WIDER * thick + 1
    )
    return inside


def _like(grey: NDArray[np.uint8], mask: Mask, band: Mask) -> Mask:
    """Return what in a band looks as what is in a mask does (h, w)."""
    side = max(3, round(HIDES * max(grey.shape)) | 1)
    kernel = np.ones((side, side), np.uint8)
    darker = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel).astype(np.float32)
    lighter = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, kernel).astype(np.float32)
    contrast = darker if darker[mask].sum() >= lighter[mask].sum() else lighter
    # A mask may hold the ground between its marks: its upper half shows the marks.
    level = float(np.percentile(contrast[mask], 75))
    candidate = band & (contrast >= ALIKE * level) & (level > 0)
    count, label, stats, _ = cv2.connectedComponentsWithStats(candidate.astype(np.uint8))
    areas = stats[1:count, cv2.CC_STAT_AREA]
    own = np.unique(label[mask & candidate])
    own = own[own > 0]
    if not len(own):
        return mask
    usual = float(np.median(areas[own - 1]))
    small = 1 + np.flatnonzero((areas <= LARGEST * usual) & (areas >= usual / LARGEST))
    found: Mask = np.isin(label, np.union1d(small, own))
    return mask | found
