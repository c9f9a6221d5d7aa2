"""Paint a ring, take one out, and paint what resembles one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Mask, Placebo
from melaudit.artifacts.painting.inpainting import continued
from melaudit.artifacts.painting.placebos import feathered, neutral
from melaudit.artifacts.picture import edit, grown, mixed

RADII = (0.40, 0.54)
"""Radius of the field in sides; real ones blacken 5 to 68 % of a picture, 27 % in the middle."""
OFF = 0.015
"""How far the field lies off the centre, in sides (standard deviation); real ones .012."""
SOFTNESS = (0.009, 0.028)
"""Width of the rim in sides: real ones go from a tenth to nine tenths over .02 to .06."""
BLACK = (1.0, 16.0)
"""Levels of the black: real ones have a mean of 1 to 17."""
FAINTEST = 0.02
"""Share of black below which a pixel counts as unpainted."""
RIM = 0.05
"""Width of the dark that a soft rim leaves inside the field, in sides; removed with the ring."""


def with_ring(image: RGB, rng: np.random.Generator, dose: float) -> Edited:
    """Black out what lies beyond a round field of view; the dose is how far the ring reaches in.

    At 0 the field holds the whole picture, at 1 its radius is drawn as real ones have it.
    """
    height, width = image.shape[:2]
    side = float(np.sqrt(height * width))
    off = rng.normal(0, OFF, 2).astype(np.float32)
    radius, softness = rng.uniform(*RADII), rng.uniform(*SOFTNESS)
    level = np.exp(rng.uniform(*np.log(BLACK))) + rng.uniform(-0.5, 0.5, 3)
    noise = rng.uniform(0.4, 1.2) * rng.standard_normal((height, width), np.float32)
    if dose == 0:
        return edit(image, image.copy())
    y = ((np.arange(height, dtype=np.float32)[:, None] + 0.5 - height / 2) / side) - off[0]
    x = ((np.arange(width, dtype=np.float32)[None] + 0.5 - width / 2) / side) - off[1]
    away = np.hypot(y, x)
    farthest = float(away.max()) + 2 * softness
    reach = farthest + dose * (min(radius, farthest) - farthest)
    dark = 0.5 * (1 - np.tanh((reach - away) / softness))
    dark = np.where(dark < FAINTEST, 0, dark).astype(np.float32)
    black = (level + noise[..., None]).astype(np.float32)
    return Edited(mixed(image, black, dark), dark > 0)


def without_ring(image: RGB, mask: Mask) -> Edited:
    """Continue the skin of the field outward over a ring and its soft rim."""
    if not mask.any():
        return edit(image, image.copy())
    filled = continued(image, grown(mask, RIM), np.random.default_rng(0))
    return edit(image, filled)


def ring_placebos(image: RGB, edited: Edited, rng: np.random.Generator) -> tuple[Placebo, ...]:
    """Return a ring of skin, one of texture, a white one and a black square frame."""
    mask = edited.mask
    return (
        *neutral(image, edited, rng, "a ring"),
        Placebo("white", "a white ring", _ring_of(image, edited, 250.0), "any high-contrast frame"),
        Placebo("square", "a black square frame", _square(image, mask), "any dark frame"),
    )


def _ring_of(image: RGB, edited: Edited, level: float) -> RGB:
    """Return the same ring in another grey, as soft."""
    return mixed(image, (level, level, level), _cover(image, edited))


def _cover(image: RGB, edited: Edited) -> NDArray[np.float32]:
    """Return how thick the black lies (h, w), read from what it left of the brightness."""
    before, after = image.astype(np.float32).sum(2), edited.image.astype(np.float32).sum(2)
    ground = float(np.percentile(after[edited.mask], 5)) if edited.mask.any() else 0.0
    cover = np.clip((before - after) / np.maximum(before - ground, 30.0), 0, 1)
    # On a lesion as dark as the ring nothing can be read: what is deep in the mask is covered.
    cover = np.where(edited.mask, np.maximum(cover, feathered(edited.mask) ** 2), 0)
    return cover.astype(np.float32)


def _square(image: RGB, mask: Mask) -> RGB:
    """Return a black frame of even width that covers as much as a mask does."""
    height, width = mask.shape
    share = float(mask.mean())
    if share == 0:
        return image.copy()
    # The width t of a frame with (h - 2t)(w - 2t) = (1 - share) h w.
    total = height + width
    inset = (total - float(np.sqrt(total**2 - 4 * share * height * width))) / 4
    rows, columns = (_beyond(n, inset) for n in (height, width))
    frame = np.maximum(rows[:, None], columns[None])
    return mixed(image, (4.0, 4.0, 5.0), frame)


def _beyond(length: int, inset: float) -> NDArray[np.float32]:
    """Return for each pixel of a side (n,) how much of it lies within `inset` of an end."""
    start = np.arange(length, dtype=np.float32)
    near = np.clip(inset - start, 0, 1)
    weights: NDArray[np.float32] = np.maximum(near, near[::-1])
    return weights
