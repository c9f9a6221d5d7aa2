"""Edits that stand beside thin ones (hairs, ticks, rims of bubbles) and are as strong.

Nothing smooth fits inside a hair. So the neutral edit takes what a thin one changes and spreads it
over the surroundings, thinner, until the picture as a whole changes by as much: equal in the sum
of the squared differences.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Mask
from melaudit.artifacts.painting.canvas import Canvas, bar
from melaudit.artifacts.painting.skin import skin_colour, smooth_noise
from melaudit.artifacts.picture import Layer, rounded

Colour = NDArray[np.float32]
"""(3,) in levels of 255."""

STRONGEST = 3.0
"""Largest multiple of an edit's own change that is tried; more turns soft edges into hard ones."""
GRAIN = 1 / 12
"""Size of the spots of blotches, in sides."""
STEPS = 12
"""Halvings of the interval of multiples."""
MOST = 400
"""Dashes that are strewn at most."""


def energy(before: RGB, after: RGB) -> float:
    """Return the sum of the squared differences of two pictures, in squared levels of 255."""
    return float(cv2.norm(before, after, cv2.NORM_L2) ** 2)


def widened(mask: Mask, reach: float) -> Mask:
    """Return a mask grown by so many pixels."""
    size = 2 * max(1, round(reach)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    grown: Mask = cv2.dilate(mask.astype(np.uint8), disc) > 0
    return grown


def scaled(image: RGB, change: Layer, wanted: float, strongest: float = STRONGEST) -> RGB:
    """Return the picture changed by the multiple of a change (h, w, 3) that has an energy.

    Where black and white cut it off before that, by the strongest multiple.
    """
    ground = image.astype(np.float32)
    touched = np.abs(change).max(2) > 1e-3
    if wanted <= 0 or not touched.any():
        return image.copy()
    before, part = ground[touched], change[touched]
    low, high = 0.0, strongest
    for _ in range(STEPS):
        middle = (low + high) / 2
        after = np.clip(before + middle * part, 0, 255)
        enough = float(((after - before) ** 2).sum()) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return rounded(ground + high * change)


def around(mask: Mask, reach: float) -> Layer:
    """Return weights (h, w) that fade out from a mask over about `reach` pixels, 1 at most."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(reach, 1.0))
    return np.asarray(soft / max(float(soft.max()), 1e-6), np.float32)


def blotches(image: RGB, edited: Edited, reach: float, rng: np.random.Generator) -> RGB:
    """Spread an edit's energy about `reach` pixels around it as smooth light and dark."""
    height, width = edited.mask.shape
    noise = smooth_noise(height, width, GRAIN * max(height, width), rng)
    wave = noise * around(edited.mask, reach) ** 0.5
    tint = skin_colour(image, edited.mask)
    change = (wave[..., None] * (tint / max(float(tint.mean()), 1.0))).astype(np.float32)
    return scaled(image, change, energy(image, edited.image), 90.0)


def flipped(image: RGB, edited: Edited) -> RGB:
    """Make lighter what an edit made darker and the other way round, as strong if there is room."""
    change = image.astype(np.float32) - edited.image
    return scaled(image, change, energy(image, edited.image))


def spread(image: RGB, edited: Edited, colour: Colour, reach: float) -> RGB:
    """Lay a colour softly over about `reach` pixels around an edit, as strong, without edges."""
    change = around(edited.mask, reach)[..., None] * (colour - image.astype(np.float32))
    return scaled(image, change.astype(np.float32), energy(image, edited.image), 1.0)


def strewn(
    image: RGB, edited: Edited, length: float, reach: float, rng: np.random.Generator
) -> RGB:
    """Strew straight dashes of any direction within `reach` pixels of an edit.

    They are as long as told, as wide as the edit is on average, cover as much and are of its
    colour.
    """
    core = kernel(image, edited)
    if not core.any():
        return image.copy()
    rows, columns = np.nonzero(widened(core, reach))
    width, area = mean_width(core), float(core.sum())
    canvas = Canvas(*core.shape)
    for _ in range(min(MOST, max(1, round(area / (width * length))))):
        spot = int(rng.integers(len(rows)))
        turn = rng.uniform(0, np.pi)
        half = length / 2 * np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.7, 1.3)
        middle = np.array([columns[spot] + 0.5, rows[spot] + 0.5])
        canvas.fill(bar(middle - half, middle + half, width))
    colour = np.median(edited.image[core].astype(np.float32), 0)
    change = canvas.cover(0.5)[..., None] * (colour - image.astype(np.float32))
    return scaled(image, change.astype(np.float32), energy(image, edited.image), 1.15)


def kernel(image: RGB, edited: Edited) -> Mask:
    """Return where an edit changed the picture by half its greatest change at least (h, w)."""
    change = cv2.absdiff(image, edited.image).max(2)
    greatest = float(np.percentile(change[edited.mask], 95)) if edited.mask.any() else 0.0
    core: Mask = edited.mask & (change >= 0.5 * greatest)
    return core


def mean_width(mask: Mask) -> float:
    """Return how wide the lines of a mask are on average, in pixels.

    In a line of odd width w pixels lie (w + 2) / 4 deep on average, nearly.
    """
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    return max(1.0, 4 * float(depth[mask].mean()) - 2)
