"""Plants: functions `plant(image, rng) -> image` that add one artifact to a picture.

They work on 8-bit RGB (h, w, 3) of any size, so that they can be used on real pictures too. Place,
size and colour are drawn from `rng` at every call. Chosen: the constants are round figures, not
measured.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

RGB = NDArray[np.uint8]
"""(h, w, 3) picture."""
Plant = Callable[[RGB, np.random.Generator], RGB]
"""Return a picture with one artifact added; the original is not changed."""

SUPERSAMPLING = 4
"""Thin things are drawn this many times larger and then reduced, which smooths their edges."""


def ring(image: RGB, rng: np.random.Generator) -> RGB:
    """Black out everything outside the round, soft-edged field of view of a dermatoscope.

    Its radius is 0.40 to 0.56 of the shorter side, a little off the centre; the black is not quite
    black.
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
    """Lay hairs over the picture: curved, tapered, mostly along one direction."""
    height, width = image.shape[:2]
    mask = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
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
    """Add air bubbles in the gel: bright rims with a darker inside and a glint."""
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


def ruler(image: RGB, rng: np.random.Generator, weight: float = 0.004) -> RGB:
    """Draw a millimetre scale along one side; `weight` is the width of its ticks, in sides."""
    height, width = image.shape[:2]
    mask = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    pen = ImageDraw.Draw(mask)
    side = min(mask.size)
    pitch, inset = rng.uniform(0.035, 0.07) * side, rng.uniform(0.02, 0.08) * side
    length, tilt = rng.uniform(0.025, 0.05) * side, rng.normal(0, 0.06)
    shade = int(rng.uniform(110, 220))
    pen_width = max(1, round(weight * side))
    first = rng.uniform(0, 0.25) * side
    for k in range(int(rng.integers(10, 24))):
        along = first + k * pitch
        off = inset + tilt * along
        tick = length * (1.8 if k % 5 == 0 else 1)
        pen.line([off, along, off + tick, along + tilt * tick], fill=shade, width=pen_width)
    turned = mask.rotate(90 * int(rng.integers(4)))
    return _inked(image, turned.resize(mask.size), np.array([28, 26, 30]))


def ink(image: RGB, rng: np.random.Generator) -> RGB:
    """Mark the skin beside the lesion with a violet pen: a few strokes or dots, some of them faint.

    The ink is transparent: it absorbs the complement of its colour from the skin under it.
    """
    height, width = image.shape[:2]
    mask = Image.new("L", (width * 2, height * 2))
    pen = ImageDraw.Draw(mask)
    side = min(mask.size)
    weight = max(2, round(rng.uniform(0.012, 0.03) * side))
    for _ in range(int(rng.integers(2, 6))):
        turn = rng.uniform(0, 2 * np.pi)
        middle = np.array(mask.size) / 2
        start = middle + rng.uniform(0.33, 0.46) * side * np.array([np.cos(turn), np.sin(turn)])
        heading, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.25) * side
        end = start + length * np.array([np.cos(heading), np.sin(heading)])
        pen.line([*start, *end], fill=255, width=weight)
        for x, y in (start, end):
            half = weight / 2
            pen.ellipse([x - half, y - half, x + half, y + half], fill=255)
    cover = np.asarray(mask.resize((width, height), Image.Resampling.BOX), np.float64) / 255
    stain = np.array([0.45, 0.25, 0.75]) * rng.uniform(0.85, 1.15)
    depth = rng.uniform(0.6, 0.95) * cover[..., None]
    return _rounded(image * (1 - depth * (1 - np.minimum(stain, 1))))


def sticker(image: RGB, rng: np.random.Generator) -> RGB:
    """Put a round coloured sticker beside the lesion, partly outside the picture."""
    height, width = image.shape[:2]
    side = min(height, width)
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.44, 0.6)
    cy, cx = height / 2 + away * side * np.sin(turn), width / 2 + away * side * np.cos(turn)
    y, x = np.mgrid[:height, :width] + 0.5
    radius = rng.uniform(0.14, 0.24) * side
    cover = np.clip((radius - np.hypot(y - cy, x - cx)) / 1.5 + 0.5, 0, 1)[..., None]
    colours = np.array([[40, 90, 190], [240, 140, 30], [40, 150, 70], [235, 205, 50]])
    colour = colours[rng.integers(4)] * rng.uniform(0.85, 1.1)
    shading = rng.normal(0, 3, image.shape) + 12 * (y - cy)[..., None] / side
    return _rounded(image + cover * (colour + shading - image.astype(np.float64)))


def lettering(
    image: RGB, rng: np.random.Generator, heights: tuple[float, float] = (0.07, 0.1)
) -> RGB:
    """Write a line of digits in a corner, as cameras and viewers do; `heights` are in sides."""
    height, width = image.shape[:2]
    digits = "".join(str(rng.integers(10)) for _ in range(8))
    text = f"{digits[:2]}.{digits[2:4]}.{digits[4:]}"
    size = max(8, round(rng.uniform(*heights) * height))
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    font = ImageFont.load_default(size)
    _, _, long, tall = pen.textbbox((0, 0), text, font=font)
    gap = round(0.02 * width)
    x = gap if rng.random() < 0.5 else max(0, width - long - gap)
    y = gap if rng.random() < 0.5 else max(0, height - tall - gap)
    pen.text((x, y), text, fill=255, font=font)
    bright = np.array([[250, 250, 250], [255, 235, 60]])[rng.integers(2)]
    cover = np.asarray(mask, np.float64)[..., None] / 255
    return _rounded(image + cover * (bright - image.astype(np.float64)))


def tint(image: RGB, rng: np.random.Generator) -> RGB:
    """Show the picture under a bluish lamp, as of another instrument."""
    gains = np.array([rng.uniform(0.78, 0.86), rng.uniform(0.94, 1.0), rng.uniform(1.1, 1.2)])
    return _rounded(image * gains)


def _inked(image: RGB, mask: Image.Image, colour: NDArray[np.int64]) -> RGB:
    """Blend a colour (3,) into the picture where the larger mask is set."""
    height, width = image.shape[:2]
    cover = np.asarray(mask.resize((width, height), Image.Resampling.BOX), np.float64)[..., None]
    return _rounded(image + cover / 255 * (colour - image.astype(np.float64)))


def _rounded(image: NDArray[np.float64]) -> RGB:
    return (np.clip(image, 0, 255) + 0.5).astype(np.uint8)
