"""Write a line of text near a corner of a picture, or short bars in its place."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from melaudit.artifacts.interface import Mask
from melaudit.artifacts.picture import Layer

FONT_SIZE = 48
"""Size at which letters are drawn, in pixels; they are then reduced to fit."""
HEIGHTS = (0.035, 0.06)
"""Height of the letters in the picture, as a share of the shorter side."""
COLOURS = (
    (252.0, 252.0, 250.0),
    (18.0, 18.0, 20.0),
    (250.0, 226.0, 60.0),
)
"""White, black and yellow letters."""
NAMES = ("DERM", "CLINIC", "ARCHIVE", "SCOPE", "STUDY")
MAX_BARS = 400
"""Number of bars that are drawn at most."""


def text_line(
    height: int, width: int, rng: np.random.Generator
) -> tuple[Layer, tuple[float, float, float]]:
    """Return the coverage (h, w), 0 to 1, of a line of text near a corner, and its colour."""
    text = _text(rng)
    side = min(height, width)
    tall = rng.uniform(*HEIGHTS) * side
    colour = COLOURS[rng.choice(3, p=[0.45, 0.35, 0.2])]
    opacity, inset = rng.uniform(0.75, 1.0), rng.uniform(0.025, 0.06, 2) * side
    at_bottom, at_right = rng.random() < 0.65, rng.random() < 0.5
    line = _drawn(text)
    # A long line on a narrow picture is written smaller.
    scale = min(tall / FONT_SIZE, 0.9 * width / line.shape[1])
    down, across = (max(1, round(n * scale)) for n in line.shape)
    small = cv2.resize(line, (across, down), interpolation=cv2.INTER_AREA)
    y = height - down - inset[0] if at_bottom else inset[0]
    x = width - across - inset[1] if at_right else inset[1]
    top, left = max(0, round(y)), max(0, round(x))
    coverage = np.zeros((height, width), np.float32)
    place = coverage[top : top + down, left : left + across]
    place[:] = opacity * small[: place.shape[0], : place.shape[1]]
    return coverage, colour


def _text(rng: np.random.Generator) -> str:
    """Return a date with or without a time, a number, or a name."""
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2004, 2021)
    hour, minute = rng.integers(8, 18), rng.integers(60)
    number = rng.integers(1000, 999999)
    lines = (
        f"{day:02d}.{month:02d}.{year} {hour:02d}:{minute:02d}",
        f"{year}-{month:02d}-{day:02d}",
        f"ID {number:06d}",
        f"{NAMES[rng.integers(len(NAMES))]} {number % 1000:03d}",
    )
    return lines[rng.integers(len(lines))]


def _drawn(text: str) -> Layer:
    """Return the coverage (h, w) of a line of text, without a margin."""
    font = ImageFont.load_default(FONT_SIZE)
    left, top, right, bottom = font.getbbox(text)
    page = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(page).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(np.asarray(page, np.float32) / 255, np.float32)


def bars(mask: Mask, rng: np.random.Generator) -> Mask:
    """Return short random bars in the bounding box of a mask that cover the same area (h, w)."""
    drawn = np.zeros(mask.shape, np.uint8)
    if not mask.any():
        return drawn > 0
    ys, xs = np.nonzero(mask)
    top, left, down, across = ys.min(), xs.min(), int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1
    aim, thick = int(mask.sum()), max(1, down // 6)
    box = np.zeros((down, across), np.uint8)
    for _ in range(MAX_BARS):
        missing = aim - int((box > 0).sum())
        if missing <= 0:
            break
        turn = rng.uniform(0, np.pi)
        # The last bar is only as long as the missing area needs.
        length = min(0.8 * down, missing / thick)
        half = np.array([np.cos(turn), np.sin(turn)]) * length / 2
        middle = rng.uniform(0, 1, 2) * (across, down)
        start, end = (np.round(middle + sign * half).astype(int).tolist() for sign in (-1, 1))
        cv2.line(box, start, end, 255, thick)
    drawn[top : top + down, left : left + across] = box
    return drawn > 0
