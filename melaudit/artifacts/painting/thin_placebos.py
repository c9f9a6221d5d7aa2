"""Placebos of thin artifacts: hairs, ticks, rims of bubbles.

Nothing smooth fits inside a hair. So the neutral edit spreads what a thin edit changes over its
surroundings, more faintly, until the picture as a whole changes by as much: the energy, which is
the sum of the squared differences, is equal.

Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Mask
from melaudit.artifacts.painting.bisection import bisected
from melaudit.artifacts.painting.canvas import Canvas, bar
from melaudit.artifacts.painting.skin import skin_colour, smooth_noise
from melaudit.artifacts.picture import Layer, dilated, rounded

Colour = NDArray[np.float32]
"""(3,) in levels of 255."""

MAX_MULTIPLE = 3.0
"""Largest multiple of a change that is tried; more would turn soft edges into hard ones."""
GRAIN = 1 / 12
"""Size of the spots of blotches, as a share of the longer side."""
MAX_AMPLITUDE = 90.0
"""Amplitude of blotches at most, in levels of 255."""
HALVINGS = 12
"""Halvings of the interval of multiples."""
MAX_DASHES = 400
"""Number of dashes that are scattered at most."""


def energy(before: RGB, after: RGB) -> float:
    """Return the sum of the squared pixel differences, in squared levels of 255."""
    return float(cv2.norm(before, after, cv2.NORM_L2) ** 2)


def scaled(image: RGB, change: Layer, target: float, max_multiple: float = MAX_MULTIPLE) -> RGB:
    """Return the picture plus the multiple of a change (h, w, 3) that has the energy `target`.

    If clipping at black and white prevents that, the largest multiple is taken.
    """
    ground = image.astype(np.float32)
    touched = np.abs(change).max(2) > 1e-3
    if target <= 0 or not touched.any():
        return image.copy()
    before, own = ground[touched], change[touched]

    def enough(multiple: float) -> bool:
        after = np.clip(before + multiple * own, 0, 255)
        return float(((after - before) ** 2).sum()) >= target

    _, multiple = bisected(enough, 0.0, max_multiple, HALVINGS)
    return rounded(ground + multiple * change)


def around(mask: Mask, reach: float) -> Layer:
    """Return weights (h, w) that fade from 1 to 0 over about `reach` pixels around a mask."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(reach, 1.0))
    return np.asarray(soft / max(float(soft.max()), 1e-6), np.float32)


def blotches(image: RGB, edited: Edited, reach: float, rng: np.random.Generator) -> RGB:
    """Spread the energy of an edit over about `reach` pixels around it as smooth light and dark."""
    height, width = edited.mask.shape
    noise = smooth_noise(height, width, GRAIN * max(height, width), rng)
    wave = noise * around(edited.mask, reach) ** 0.5
    tint = skin_colour(image, edited.mask)
    change = (wave[..., None] * (tint / max(float(tint.mean()), 1.0))).astype(np.float32)
    return scaled(image, change, energy(image, edited.image), MAX_AMPLITUDE)


def flipped(image: RGB, edited: Edited) -> RGB:
    """Make lighter what an edit made darker, and the reverse, with the same energy if possible."""
    change = image.astype(np.float32) - edited.image
    return scaled(image, change, energy(image, edited.image))


def spread(image: RGB, edited: Edited, colour: Colour, reach: float) -> RGB:
    """Lay a colour softly over about `reach` pixels around an edit, with the same energy."""
    change = around(edited.mask, reach)[..., None] * (colour - image.astype(np.float32))
    return scaled(image, change.astype(np.float32), energy(image, edited.image), 1.0)


def scattered(
    image: RGB, edited: Edited, length: float, reach: float, rng: np.random.Generator
) -> RGB:
    """Scatter straight dashes of any direction within `reach` pixels of an edit.

    The dashes are about `length` pixels long and as wide as the lines of the edit on average; they
    cover the same area and have its colour.
    """
    core = strong_core(image, edited)
    if not core.any():
        return image.copy()
    rows, columns = np.nonzero(dilated(core, reach))
    width, area = mean_width(core), float(core.sum())
    canvas = Canvas(*core.shape)
    for _ in range(min(MAX_DASHES, max(1, round(area / (width * length))))):
        spot = int(rng.integers(len(rows)))
        turn = rng.uniform(0, np.pi)
        half = length / 2 * np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.7, 1.3)
        middle = np.array([columns[spot] + 0.5, rows[spot] + 0.5])
        canvas.fill(bar(middle - half, middle + half, width))
    colour = np.median(edited.image[core].astype(np.float32), 0)
    change = canvas.coverage(0.5)[..., None] * (colour - image.astype(np.float32))
    return scaled(image, change.astype(np.float32), energy(image, edited.image), 1.15)


def strong_core(image: RGB, edited: Edited) -> Mask:
    """Return where an edit changed the picture by at least half its largest change (h, w)."""
    change = cv2.absdiff(image, edited.image).max(2)
    greatest = float(np.percentile(change[edited.mask], 95)) if edited.mask.any() else 0.0
    core: Mask = edited.mask & (change >= 0.5 * greatest)
    return core


def mean_width(mask: Mask) -> float:
    """Return the mean width of the lines of a mask (h, w), in pixels.

    In a line of odd width w, the mean depth of a pixel is close to (w + 2) / 4.
    """
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    return max(1.0, 4 * float(depth[mask].mean()) - 2)
