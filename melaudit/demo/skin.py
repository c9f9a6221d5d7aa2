"""Draw skin as a dermatoscope shows it: tone, mottling, fine lines, and light that falls off.

Colour follows the pigments: light that passes a density d of a pigment with absorbance a is reduced
to exp(-a d), for melanin and for blood (Tsumura et al., "Image-based skin color and texture
analysis/synthesis by extracting hemoglobin and melanin information in the skin", SIGGRAPH 2003).
Lengths are shares of the width, so that pictures of all sizes look the same. Chosen: the constants
are round figures, not measured.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Field = NDArray[np.float32]
"""(h, w) one number per pixel."""
Picture = NDArray[np.float32]
"""(h, w, 3) RGB reflectance, 0 to 1."""

MELANIN = np.array([0.40, 0.68, 1.0], np.float32)
"""Absorbance of brown pigment for red, green and blue."""
BLOOD = np.array([0.12, 1.0, 0.80], np.float32)
"""Absorbance of blood for red, green and blue."""


@lru_cache(maxsize=8)
def _frequencies(size: int) -> tuple[Field, Field]:
    """Return log2 of the waves per width and the angle of each 2-D frequency of rfft2."""
    y = np.fft.fftfreq(size, 1 / size)[:, None]
    x = np.fft.rfftfreq(size, 1 / size)[None]
    waves = np.hypot(y, x)
    waves[0, 0] = 1e9  # outside every band, so that all noise has mean 0
    return np.log2(waves).astype(np.float32), np.arctan2(y, x).astype(np.float32)


def noise(
    rng: np.random.Generator,
    size: int,
    period: float,
    octaves: float = 0.5,
    direction: float | None = None,
) -> Field:
    """Return random texture (size, size) of mean 0 and variance 1, with waves of about `period`.

    `period` is a share of the width, `octaves` the spread of the periods (a narrow band looks
    regular). A `direction` in radians makes lines at right angles to it.
    """
    pitch, angle = _frequencies(size)
    # A band holds more waves the finer they are; dividing by the frequency evens that out.
    exponent = -0.5 * ((pitch + math.log2(period)) / octaves) ** 2 - math.log(2) * pitch
    if direction is not None:
        exponent -= (np.sin(angle - np.float32(direction)) / 0.35) ** 2
    white = fft.rfft2(rng.standard_normal((size, size), np.float32))
    texture = fft.irfft2(white * np.exp(exponent), (size, size))
    return np.asarray(texture / texture.std(), np.float32)


def grid(size: int) -> tuple[Field, Field]:
    """Return the coordinates y and x of the pixels (size, size), -0.5 to 0.5."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size) - np.float32(0.5)
    return np.broadcast_to(line[:, None], (size, size)), np.broadcast_to(line, (size, size))


def absorb(picture: Picture, density: Field, absorbance: NDArray[np.float32]) -> Picture:
    """Return the picture (h, w, 3) seen through a pigment of this density (h, w)."""
    return np.asarray(picture * np.exp(-density[..., None] * absorbance), np.float32)


def skin(rng: np.random.Generator, size: int) -> Picture:
    """Return healthy, evenly lit skin (size, size, 3), from very light to dark."""
    tone = 0.75 * rng.beta(1.1, 4.0)
    flush = rng.gamma(2.2, 0.055)
    # White balance differs between cameras and gels, from bluish pink to yellow.
    cast = np.array([1.0, 1.0 - 0.03 * rng.random(), rng.uniform(0.84, 1.06)], np.float32)

    melanin = tone * (1 + 0.10 * noise(rng, size, 0.45, 0.8) + 0.05 * noise(rng, size, 0.06, 0.8))
    mottling = rng.uniform(0.05, 0.28)
    blood = flush * (1 + mottling * noise(rng, size, 0.12, 0.9))
    turn = rng.uniform(0, math.pi)
    lines = np.maximum(
        noise(rng, size, 0.045, 0.35, turn),
        noise(rng, size, 0.045, 0.35, turn + rng.uniform(0.9, 1.4)),
    )
    melanin += rng.uniform(0.004, 0.028) * lines
    bright = np.float32(rng.uniform(0.88, 0.99))
    picture = np.broadcast_to(bright * cast, (size, size, 3)).astype(np.float32)
    picture = absorb(picture, np.maximum(melanin, 0).astype(np.float32), MELANIN)
    return absorb(picture, np.maximum(blood, 0).astype(np.float32), BLOOD)


def lit(picture: Picture, rng: np.random.Generator) -> Picture:
    """Light the picture from near its middle, with a mild fall-off to the corners and a slope."""
    y, x = grid(picture.shape[0])
    y, x = y - rng.normal(0, 0.07), x - rng.normal(0, 0.07)
    falloff = rng.beta(1.2, 2.5) * 0.5
    slope = rng.normal(0, 0.06)
    turn = rng.uniform(0, 2 * math.pi)
    light = (
        1 - falloff * (2 * (x**2 + y**2)) ** 1.3 + slope * (x * math.cos(turn) + y * math.sin(turn))
    )
    return np.asarray(picture * light[..., None], np.float32)


def photographed(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the picture as 8-bit RGB (h, w, 3) with sensor noise."""
    grain = rng.normal(0, rng.uniform(0.004, 0.012), picture.shape)
    return (np.clip(picture + grain, 0, 1) * 255 + 0.5).astype(np.uint8)
