"""Search for a ruler: small dark marks that stand side by side, or follow in even steps.

Two things distinguish ticks from other small dark marks. More of the marks around a tick are
parallel to it than chance would give; or marks follow each other in even steps for longer than
chance would give. The second is an a-contrario test (Desolneux, Moisan and Morel 2000): the
expected number of rows of that length among as many marks scattered at random. Where a straight
base line joins ticks to one mark, the line is taken away first, which leaves the ticks.

Chosen: the constants, by AUC over a few hundred settings on the tuning half of the labelled images
(benchmarks/artifacts.py; docs/artifacts.md has the result).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import Layer, reduced
from melaudit.artifacts.search.blobs import (
    LOG_OFFSET,
    SIDE,
    Blobs,
    Pairs,
    Values,
    blobs,
    distances,
    parallel,
    ratio,
)
from melaudit.artifacts.search.components import components

MAX_THICKNESS = 0.04
"""Width of the widest tick, as a share of the longer side."""
MIN_CONTRAST = 0.12
"""Log brightness by which a mark must be darker than what surrounds it."""
MIN_RATIO = 5.0
"""How many times a mark must exceed the mean contrast around it: skin has texture, lesions have
more."""
MAX_MARKS = 100
"""Marks that are compared, the strongest ones: the number of pairs grows with the square."""
MAX_LENGTH, MAX_WIDTH, MIN_AREA = 0.16, 0.05, 3
"""Length and width of the largest mark, as shares of the longer side, and pixels of the
smallest."""
NEIGHBOURHOOD = (0.012, 0.15)
"""Distances between which marks stand side by side, as shares of the longer side."""
BY_CHANCE = 0.3
"""Share of near marks that may be parallel by chance."""
STEP = (0.015, 0.16)
"""Shortest and longest step of a row, as shares of the longer side."""
MAX_STEPS = 24
"""Steps for which a row is followed."""
MIN_STEP = 1.3
"""Shortest step, in widths of a mark."""
ROW_RADIUS = 0.2
"""Radius within which the density of marks is counted, as a share of the longer side."""

MAX_BASE_WIDTH = 0.08
"""Width of the widest mark in which a base line is sought, ticks and figures included, as a share
of the longer side. Chosen, not measured."""
MIN_BASE = 0.6
"""Share of the length of a mark that must lie on one line for it to be a base line. Chosen, not
measured."""
BASE_TURNS = np.radians(np.arange(-4, 4.5, 0.5))
"""Angles to the long axis of a mark at which a base line is sought: figures at an end turn it."""


@dataclass(frozen=True)
class Ticks:
    """The evidence for a ruler in one image."""

    excess: float
    """Parallel neighbours beyond chance, of the mark that has the most."""
    surprise: float
    """-log10 of the expected number of rows that are as even and as long."""
    mask: Mask
    """(h, w) on the reduced copy: the marks that belong to the ruler."""


def ticks(image: RGB) -> Ticks:
    """Look for the ticks of a ruler on the reduced copy of an image (h, w, 3)."""
    red = np.asarray(reduced(image, SIDE)[..., 0], np.float32)
    side = max(red.shape)
    found, lines = _candidates(red)
    if len(found) < 2:
        return Ticks(0.0, 0.0, np.zeros(red.shape, np.bool_))
    _, far = distances(found)
    near = (far > NEIGHBOURHOOD[0] * side) & (far < NEIGHBOURHOOD[1] * side)
    pairs = parallel(found, near)
    excess = pairs.sum(1) - BY_CHANCE * near.sum(1)
    surprise, row = _row(found, red.shape, side)
    members = _joined(pairs, int(excess.argmax())) if excess.max() > 0 else np.zeros(0, np.int64)
    belongs = found.chosen(np.union1d(members, row).astype(np.int64))
    return Ticks(float(excess.max()), surprise, _with_lines(belongs.mask(), lines))


def _candidates(red: Layer) -> tuple[Blobs, Mask]:
    """Return the small dark marks in the red channel (h, w), without those of a lesion.

    And the base lines (h, w) that were taken away between them.
    """
    side = max(red.shape)
    kernel = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (round(MAX_THICKNESS * side) // 2 * 2 + 1,) * 2
    )
    filled = cv2.morphologyEx(red, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    contrast = np.log((filled + LOG_OFFSET) / (red + LOG_OFFSET))
    found = blobs(_clear(contrast))
    lines = _base_lines(found, side)
    if lines.any():  # without them the ticks are clear of what is left
        lines = cv2.dilate(lines.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        found = blobs(_clear(np.where(lines, 0, contrast).astype(np.float32)))
    y, x = np.rint(found.centre).astype(np.int64).T
    fits = (found.length <= MAX_LENGTH * side) & (found.width <= MAX_WIDTH * side)
    fits &= ~_dark(red)[y, x] & (found.area >= MIN_AREA)
    return found.chosen(fits).strongest(MAX_MARKS), lines


def _clear(contrast: Layer) -> Layer:
    """Return a contrast (h, w) where it is clear of its surroundings, else 0."""
    window = max(3, round(0.23 * max(contrast.shape)))
    common = cv2.blur(contrast, (window, window))
    clear = (contrast > MIN_CONTRAST) & (contrast > MIN_RATIO * common)
    return np.where(clear, contrast, 0).astype(np.float32)


def _base_lines(marks: Blobs, side: int) -> Mask:
    """Return where (h, w) straight lines run along marks that are too long for a tick."""
    lines = np.zeros(marks.label.shape, np.bool_)
    long = (marks.length > MAX_LENGTH * side) & (marks.width < MAX_BASE_WIDTH * side)
    for number, angle in zip(marks.number[long], marks.angle[long], strict=True):
        y, x = np.nonzero(marks.label == number)
        turned = angle + BASE_TURNS[:, None]
        along = np.rint(x * np.cos(turned) + y * np.sin(turned)).astype(np.int64)
        across = np.rint(y * np.cos(turned) - x * np.sin(turned)).astype(np.int64)
        across -= across.min(1, keepdims=True)
        counts = np.stack([np.bincount(row, minlength=int(across.max()) + 1) for row in across])
        turn, middle = np.unravel_index(int(counts.argmax()), counts.shape)
        if counts[turn, middle] < MIN_BASE * (np.ptp(along[turn]) + 1):
            continue
        dense = counts[turn] >= counts[turn, middle] / 2
        apart = np.flatnonzero(~dense)
        low = max(apart[apart < middle], default=-1)
        high = min(apart[apart > middle], default=len(dense))
        inside = (across[turn] > low) & (across[turn] < high)
        lines[y[inside], x[inside]] = True
    return lines


def _with_lines(mask: Mask, lines: Mask) -> Mask:
    """Return a mask (h, w) with the lines that it touches."""
    if not lines.any():
        return mask
    count, label, _, _ = components(lines)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    touched = np.zeros(count, np.bool_)
    touched[label[near & lines]] = True
    whole: Mask = mask | (touched[label] & lines)
    return whole


def _dark(red: Layer) -> Mask:
    """Return what is too dark to show marks, and the lesion in the middle (h, w)."""
    window = max(3, round(0.06 * max(red.shape)))
    level = cv2.blur(red, (window, window))
    share = np.asarray(level, np.float32) / max(float(np.percentile(level, 75)), 1.0)
    lesion = (share < 0.85) & _middle(*red.shape)
    grown = cv2.dilate(lesion.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    dark: Mask = grown | (share < 0.3)
    return dark


@lru_cache(maxsize=8)
def _middle(height: int, width: int) -> Mask:
    """Return where lesions lie (height, width)."""
    y = (np.arange(height)[:, None] + 0.5) / height - 0.5
    x = (np.arange(width)[None] + 0.5) / width - 0.5
    middle: Mask = np.hypot(y, x) < 0.45
    return middle


def _joined(pairs: Pairs, start: int) -> NDArray[np.int64]:
    """Return the marks that pairs connect to one mark, itself included."""
    members = np.zeros(len(pairs), np.bool_)
    members[start] = True
    while True:
        grown = members | pairs[members].any(0) | pairs[:, members].any(1)
        if (grown == members).all():
            return np.flatnonzero(members)
        members = grown


def _row(found: Blobs, shape: tuple[int, ...], side: int) -> tuple[float, NDArray[np.int64]]:
    """Return how surprising the most surprising even row of marks is, and which marks it has."""
    way, far = distances(found)
    alike = (ratio(found.length) < 2.6) & (ratio(found.strength) < 2.2) & (ratio(found.width) < 2)
    first, second = np.nonzero(_steps(found, way, far, alike, side))
    if not len(first):
        return 0.0, np.zeros(0, np.int64)
    nearby = ((far < ROW_RADIUS * side) & alike).sum(1) / (np.pi * (ROW_RADIUS * side) ** 2 * 0.8)
    slack = np.clip(np.minimum(0.25 * far[first, second], 0.012 * side), 1, None)
    members = _followed(found, way, alike, first, second, slack, shape)
    length = (members >= 0).sum(1)
    chance = np.clip(1 - np.exp(-nearby[first] * np.pi * slack**2), 1e-3, 1)
    surprise = -np.log10(len(first)) - (length - 2) * np.log10(chance)
    best = int(surprise.argmax())
    row = members[best][members[best] >= 0] if surprise[best] > 1 else np.zeros(0, np.int64)
    return float(surprise[best]), row


def _steps(found: Blobs, way: Values, far: Values, alike: Pairs, side: int) -> Pairs:
    """Return which pairs of marks may be neighbours in a row: not end to end, and not too far."""
    axis = np.stack([np.sin(found.angle), np.cos(found.angle)], 1)
    end_to_end = np.abs((way * axis[:, None]).sum(2)) > 0.8 * far
    slender = (found.length / found.width > 1.8)[:, None]
    steps: Pairs = alike & (far > STEP[0] * side) & (far < STEP[1] * side)
    steps &= ~(slender & end_to_end) & (far > MIN_STEP * found.width[:, None])
    return steps


def _followed(
    found: Blobs,
    way: Values,
    alike: Pairs,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    slack: Values,
    shape: tuple[int, ...],
) -> NDArray[np.int64]:
    """Follow each pair of marks in the same step for as long as there is a mark.

    Returns the marks of each row (rows, MAX_STEPS + 2), -1 after the last one.
    """
    nearest = _nearest(found, shape)
    step, at = way[first, second], found.centre[second]
    members = np.full((len(first), MAX_STEPS + 2), -1, np.int64)
    members[:, 0], members[:, 1] = first, second
    alive = np.arange(len(first))
    for k in range(MAX_STEPS):
        ahead = at[alive] + step[alive]
        y, x = np.rint(ahead).astype(np.int64).T
        inside = (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
        alive, ahead = alive[inside], ahead[inside]
        who = nearest[y[inside], x[inside]]
        off = np.hypot(*(found.centre[who] - ahead).T)
        hit = (off < slack[alive]) & alike[first[alive], who]
        alive, who = alive[hit], who[hit]
        if not len(alive):
            break
        # The camera sees the ruler at an angle, so steps may drift.
        step[alive] = 0.6 * step[alive] + 0.4 * (found.centre[who] - at[alive])
        at[alive] = found.centre[who]
        members[alive, k + 2] = who
    return members


def _nearest(found: Blobs, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the mark nearest to each pixel (h, w)."""
    y, x = np.rint(found.centre).astype(np.int64).T
    empty = np.full(shape, 255, np.uint8)
    empty[y, x] = 0
    _, label = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    named = np.zeros(int(label.max()) + 1, np.int64)
    named[label[y, x]] = np.arange(len(found))
    nearest: NDArray[np.int64] = named[label]
    return nearest
