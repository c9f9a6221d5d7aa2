"""Strokes of a pen on skin: arcs around the middle, dots around it, or scribbles at the edge.

The furrows of the skin break them. They are returned as a coverage (h, w), 0 to 1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.painting.skin import smooth_noise
from melaudit.artifacts.picture import Layer

SHIFT = 4
"""Fractional bits of a coordinate in OpenCV's drawing functions."""
Points = NDArray[np.float64]
"""(n, 2) x and y from the middle, as shares of the shorter side."""


def strokes(height: int, width: int, rng: np.random.Generator) -> Layer:
    """Return the coverage (h, w), 0 to 1, of a few strokes on a picture."""
    kind = rng.choice(3, p=[0.45, 0.3, 0.25])
    lines, thick = (_arcs, _dots, _scribbles)[kind](rng)
    side = min(height, width)
    canvas = np.zeros((height, width), np.uint8)
    for line in lines:
        points = np.round((line * side + (width / 2, height / 2)) * 2**SHIFT).astype(np.int32)
        cv2.polylines(canvas, [points], False, 255, max(1, round(thick * side)), cv2.LINE_AA, SHIFT)
    coverage = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), max(0.003 * side, 0.4))
    return np.asarray(coverage * _furrowed(height, width, rng), np.float32)


def _furrowed(height: int, width: int, rng: np.random.Generator) -> Layer:
    """Return how well ink adheres (h, w), about 0 to 1: in patches, and thinly in furrows."""
    side = min(height, width)
    patchy = smooth_noise(height, width, 0.03 * side, rng)
    fine = smooth_noise(height, width, max(0.008 * side, 1.0), rng)
    return np.asarray(np.clip(0.7 + 0.18 * patchy + 0.25 * fine, 0.05, 1), np.float32)


def _arcs(rng: np.random.Generator) -> tuple[list[Points], float]:
    """Return one to three arcs around the middle, and their width as a share of the side."""
    radius, start = rng.uniform(0.28, 0.44), rng.uniform(0, 2 * np.pi)
    count = int(rng.integers(1, 4))
    lines = []
    for k in range(count):
        middle = start + 2 * np.pi * k / count + rng.normal(0, 0.15)
        turn = middle + np.linspace(-0.5, 0.5, 24) * rng.uniform(0.35, 0.9)
        reach = radius * (1 + rng.normal(0, 0.06)) + 0.01 * np.cumsum(rng.normal(0, 0.3, 24))
        # Drawn back and forth, as with a pen on skin.
        there = np.stack([reach * np.cos(turn), reach * np.sin(turn)], 1)
        back = there[::-1] + rng.normal(0, 0.004, there.shape)
        lines += [there, back]
    return lines, rng.uniform(0.008, 0.018)


def _dots(rng: np.random.Generator) -> tuple[list[Points], float]:
    """Return two to five dots around the middle, each a small scribble, and their line width."""
    radius, start = rng.uniform(0.22, 0.4), rng.uniform(0, 2 * np.pi)
    count, size = int(rng.integers(2, 6)), rng.uniform(0.006, 0.018)
    lines = []
    for k in range(count):
        turn = start + 2 * np.pi * k / count + rng.normal(0, 0.2)
        centre = radius * (1 + rng.normal(0, 0.1)) * np.array([np.cos(turn), np.sin(turn)])
        lines.append(centre + rng.normal(0, size, (14, 2)).clip(-2 * size, 2 * size))
    return lines, rng.uniform(0.006, 0.012)


def _scribbles(rng: np.random.Generator) -> tuple[list[Points], float]:
    """Return one or two zigzags at the edge of the picture, and their line width."""
    lines = []
    start = rng.uniform(0, 2 * np.pi)
    for k in range(int(rng.integers(1, 3))):
        turn = start + k * rng.uniform(1.2, 2.5)
        centre = rng.uniform(0.36, 0.48) * np.array([np.cos(turn), np.sin(turn)])
        along = turn + np.pi / 2 + rng.normal(0, 0.4)
        length, wide, n = rng.uniform(0.08, 0.25), rng.uniform(0.015, 0.04), 18
        t = np.linspace(-0.5, 0.5, n) * length
        across = wide * (np.arange(n) % 2 * 2 - 1) * rng.uniform(0.3, 1.3, n)
        axis = np.array([[np.cos(along), np.sin(along)], [-np.sin(along), np.cos(along)]])
        lines.append(centre + np.stack([t, across], 1) @ axis)
    return lines, rng.uniform(0.004, 0.008)
