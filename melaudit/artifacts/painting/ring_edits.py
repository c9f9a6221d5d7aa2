"""Add a ring, remove one, and paint what resembles one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Mask, PaintedLater, Placebo
from melaudit.artifacts.painting.canvas import margin_coverage
from melaudit.artifacts.painting.inpainting import continued
from melaudit.artifacts.painting.placebos import feathered, neutral_placebos
from melaudit.artifacts.picture import blended, dilated, edit

RADII = (0.40, 0.54)
"""Radius of the field of view, as a share of the mean side. Real rings blacken 5 to 68 % of a
picture, with a median of 27 %."""
OFF_CENTRE = 0.015
"""Standard deviation of the centre of the field, as a share of the mean side; .012 in real
rings."""
SOFTNESS = (0.009, 0.028)
"""Width of the rim, as a share of the mean side; real rims go from 10 to 90 % over .02 to .06."""
BLACK = (1.0, 16.0)
"""Levels of the black, of 255; real rings have a mean of 1 to 17."""
MIN_BLACK = 0.02
"""Share of black below which a pixel counts as unpainted. Chosen: a round figure, not measured."""
RIM = 0.05
"""Width of the dark that a soft rim leaves inside the field, as a share of the longer side; removed
with the ring. Chosen: a round figure, not measured."""


def with_ring(image: RGB, rng: np.random.Generator, dose: float) -> Edited:
    """Black out what lies outside a round field of view; the dose is how far the ring reaches in.

    At dose 0 the field holds the whole picture; at dose 1 its radius is that of real rings.
    """
    height, width = image.shape[:2]
    side = float(np.sqrt(height * width))
    off = rng.normal(0, OFF_CENTRE, 2).astype(np.float32)
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
    dark = np.where(dark < MIN_BLACK, 0, dark).astype(np.float32)
    black = (level + noise[..., None]).astype(np.float32)
    return Edited(blended(image, black, dark), dark > 0)


def without_ring(image: RGB, mask: Mask) -> Edited:
    """Continue the skin of the field outward over a ring and its soft rim."""
    hidden = dilated(mask, RIM * max(mask.shape))
    return edit(image, continued(image, hidden, np.random.default_rng(0)))


def ring_placebos(
    image: RGB, edited: Edited, rng: np.random.Generator, ground: str
) -> tuple[Placebo, ...]:
    """Return a ring of skin, one of texture, a white one and a black square frame."""
    mask = edited.mask
    return (
        *neutral_placebos(image, edited, rng, "a ring", ground),
        PaintedLater(
            "white",
            "a white ring",
            lambda: _ring_of(image, edited, 250.0),
            "any high-contrast frame",
        ),
        PaintedLater(
            "square", "a black square frame", lambda: _square(image, mask), "any dark frame"
        ),
    )


def _ring_of(image: RGB, edited: Edited, level: float) -> RGB:
    """Return the same ring with the same softness in another grey."""
    return blended(image, (level, level, level), _opacity(image, edited))


def _opacity(image: RGB, edited: Edited) -> NDArray[np.float32]:
    """Return the opacity of the black (h, w), measured by the brightness that it left."""
    before, after = image.astype(np.float32).sum(2), edited.image.astype(np.float32).sum(2)
    ground = float(np.percentile(after[edited.mask], 5)) if edited.mask.any() else 0.0
    opacity = np.clip((before - after) / np.maximum(before - ground, 30.0), 0, 1)
    # On a lesion as dark as the ring nothing can be measured: deep in the mask, black is opaque.
    opacity = np.where(edited.mask, np.maximum(opacity, feathered(edited.mask) ** 2), 0)
    return opacity.astype(np.float32)


def _square(image: RGB, mask: Mask) -> RGB:
    """Return a black frame of even width that covers the same area as a mask."""
    height, width = mask.shape
    share = float(mask.mean())
    if share == 0:
        return image.copy()
    # The width t of a frame with (h - 2t)(w - 2t) = (1 - share) h w.
    total = height + width
    inset = (total - float(np.sqrt(total**2 - 4 * share * height * width))) / 4
    rows, columns = (margin_coverage(n, inset) for n in (height, width))
    frame = np.maximum(rows[:, None], columns[None])
    return blended(image, (4.0, 4.0, 5.0), frame)
