"""Complete a row of marks, such as ticks or letters, with those that a finder missed.

Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.search.components import components

SIDE = 320
"""Longer side of the reduced copy on which rows are completed, in pixels."""
MIN_ELONGATION = 2.0
"""Length over width from which marks form a row."""
STEP = 1.0
"""How far beyond its ends a row is followed at a time, in lengths of the row."""
MAX_STEPS = 4
"""How often a row is followed, as long as it grows."""
BAND = 1.25
"""Width of the band that is searched, in widths of the row."""
WINDOW = 0.09
"""Side of the window that separates marks from the ground, as a share of the longer side."""
MIN_CONTRAST = 0.5
"""Contrast of a missed mark, over that of the row."""
MAX_AREA_RATIO = 3.0
"""How many times larger or smaller than the median mark of the row a missed mark may be."""


def completed(image: RGB, mask: Mask) -> Mask:
    """Return a mask (h, w) of marks in a row, completed with the marks that it lacks.

    Searched along the row and beyond both ends: a mark that was missed is lighter or darker than
    the ground, as the marks of the row are, and about as large as they are.
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
    for _ in range(MAX_STEPS):
        band = _band(marks)
        grown = marks if band is None else _like(np.asarray(grey, np.uint8), marks, band)
        if np.array_equal(grown, marks):
            break
        marks = grown
    full = cv2.resize(marks.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    more: Mask = mask | (full > 0)
    return more


def _band(mask: Mask) -> Mask | None:
    """Return the band (h, w) in which a row lies and continues; None if there is no row."""
    points = np.argwhere(mask)[:, ::-1].astype(np.float32)
    if len(points) < 4:
        return None
    centre, (first, second), angle = cv2.minAreaRect(points)
    length, thick = max(first, second), max(min(first, second), 2.0)
    if length < MIN_ELONGATION * thick:
        return None
    turn = np.deg2rad(angle + (0 if first >= second else 90))
    along = np.array([np.cos(turn), np.sin(turn)])
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    away = np.stack([x - centre[0], y - centre[1]], -1)
    across = np.abs(away @ np.array([-along[1], along[0]]))
    inside: Mask = (np.abs(away @ along) <= (0.5 + STEP) * length) & (
        across <= 0.5 * BAND * thick + 1
    )
    return inside


def _like(grey: NDArray[np.uint8], mask: Mask, band: Mask) -> Mask:
    """Return a mask (h, w) with the marks in a band that look like its own."""
    side = max(3, round(WINDOW * max(grey.shape)) | 1)
    kernel = np.ones((side, side), np.uint8)
    darker = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel).astype(np.float32)
    lighter = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, kernel).astype(np.float32)
    contrast = darker if darker[mask].sum() >= lighter[mask].sum() else lighter
    # A mask may include the ground between its marks; the upper half of the contrast is the marks.
    level = float(np.percentile(contrast[mask], 75))
    candidate = band & (contrast >= MIN_CONTRAST * level) & (level > 0)
    count, label, stats, _ = components(candidate)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    own = np.unique(label[mask & candidate])
    own = own[own > 0]
    if not len(own):
        return mask
    usual = float(np.median(areas[own - 1]))
    small = 1 + np.flatnonzero(
        (areas <= MAX_AREA_RATIO * usual) & (areas >= usual / MAX_AREA_RATIO)
    )
    found: Mask = np.isin(label, np.union1d(small, own))
    return mask | found
