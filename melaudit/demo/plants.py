"""Things in a picture that are not the lesion: each a function `plant(image, rng) -> image`.

They take and give 8-bit RGB of any size, so that they can be planted on real pictures too. All are
drawn anew from `rng` at every call: place, size, colour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

RGB = NDArray[np.uint8]
"""(h, w, 3) picture."""
Plant = Callable[[RGB, np.random.Generator], RGB]
"""Puts one artifact into a picture and leaves the picture it was given alone."""

FINE = 4
"""Thin things are drawn this many times larger and shrunk, which smooths their edges."""


def ring(image: RGB, rng: np.random.Generator) -> RGB:
    """Black out what lies beyond the field stop of the dermatoscope: a round, soft-edged window.

    Radius 0.40 to 0.56 of the shorter side, a little off the centre; the black is not quite black.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    y = (np.arange(height)[:, None] + 0.5 - height / 2) / side - rng.normal(0, 0.025)
    x = (np.arange(width)[None] + 0.5 - width / 2) / side - rng.normal(0, 0.025)
    radius, softness = rng.uniform(0.40, 0.56), rng.uniform(0.006, 0.022)
    window = 0.5 * (1 + np.tanh((radius - np.hypot(y, x)) / softness))[..., None]
    black = rng.uniform(0, 8) + np.array([0.0, 0.0, 1.0]) * rng.uniform(0, 4)
    dark = black + rng.normal(0, rng.uniform(0.5, 2.0), image.shape)
    return _rounded(window * image + (1 - window) * dark)


def hairs(image: RGB, rng: np.random.Generator) -> RGB:
    """Lay hairs over the picture: curved, tapering, mostly along one direction."""
    height, width = image.shape[:2]
    mask = Image.new("L", (width * FINE, height * FINE))
    pen = ImageDraw.Draw(mask)
    side = min(mask.size)
    grain = rng.uniform(0, 2 * np.pi)
    thick = rng.uniform(0.004, 0.009) * side
    for _ in range(int(rng.integers(3, 18))):
        start = rng.uniform(-0.1, 1.1, 2) * mask.size
        heading = grain + rng.normal(0, 0.5)
        bend = rng.normal(0, 0.35)
        steps = np.linspace(0, 1, 24)
        headings = heading + bend * steps
        length = rng.uniform(0.3, 1.3) * side
        walk = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0) * length / 24
        points = start + walk
        shade = int(rng.uniform(150, 250))
        weight = thick * rng.uniform(0.6, 1.2)
        for k in range(len(points) - 1):
            taper = max(1, round(weight * (1 - 0.7 * steps[k])))
            pen.line([*points[k], *points[k + 1]], fill=shade, width=taper)
    colour = np.array([[38, 26, 20], [70, 48, 34], [15, 13, 14], [205, 198, 190]])[
        rng.choice(4, p=[0.4, 0.3, 0.22, 0.08])
    ]
    return _inked(image, mask, colour)


def bubbles(image: RGB, rng: np.random.Generator) -> RGB:
    """Trap air in the gel: bright rims with a darker inside and a glint."""
    height, width = image.shape[:2]
    side = min(height, width)
    y, x = np.mgrid[:height, :width] / side
    out = image.astype(np.float64)
    middle = rng.uniform(0.1, 0.9, 2)
    for _ in range(int(rng.integers(2, 9))):
        cy, cx = middle + rng.normal(0, 0.16, 2)
        radius = rng.uniform(0.012, 0.05)
        away = np.hypot(y - cy, x - cx) / radius
        rim = np.exp(-(((away - 1) / 0.22) ** 2))
        lit = 0.45 + 0.55 * np.cos(
            np.arctan2(y - cy, x - cx) - 4
        )  # one side of the rim is brighter
        glint = np.exp(
            -((y - cy + 0.35 * radius) ** 2 + (x - cx + 0.3 * radius) ** 2) / (0.25 * radius) ** 2
        )
        out *= (1 - 0.12 * (away < 1))[..., None]
        out += (255 - out) * (np.clip(rim * lit * 0.7 + 0.9 * glint, 0, 1))[..., None]
    return _rounded(out)


def ruler(image: RGB, rng: np.random.Generator) -> RGB:
    """Etch a millimetre scale along one side."""
    height, width = image.shape[:2]
    mask = Image.new("L", (width * FINE, height * FINE))
    pen = ImageDraw.Draw(mask)
    side = min(mask.size)
    pitch, inset = rng.uniform(0.035, 0.07) * side, rng.uniform(0.02, 0.08) * side
    length, tilt = rng.uniform(0.025, 0.05) * side, rng.normal(0, 0.06)
    shade = int(rng.uniform(110, 220))
    weight = max(1, round(0.004 * side))
    first = rng.uniform(0, 0.25) * side
    for k in range(int(rng.integers(10, 24))):
        along = first + k * pitch
        off = inset + tilt * along
        tick = length * (1.8 if k % 5 == 0 else 1)
        pen.line([off, along, off + tick, along + tilt * tick], fill=shade, width=weight)
    turned = mask.rotate(90 * int(rng.integers(4)))
    return _inked(image, turned.resize(mask.size), np.array([28, 26, 30]))


def _inked(image: RGB, mask: Image.Image, colour: NDArray[np.int64]) -> RGB:
    """Cover the picture with a colour where the fine mask says so."""
    height, width = image.shape[:2]
    cover = np.asarray(mask.resize((width, height), Image.Resampling.BOX), np.float64)[..., None]
    return _rounded(image + cover / 255 * (colour - image.astype(np.float64)))


def _rounded(image: NDArray[np.float64]) -> RGB:
    return (np.clip(image, 0, 255) + 0.5).astype(np.uint8)
