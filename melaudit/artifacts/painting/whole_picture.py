"""What artifacts of the whole picture share: masks that cover it, and an edit that means nothing.

A colour cast or blur has no place, so neither has its placebo. What stays comparable is how much
the pixels change: the neutral edit is a smooth, uneven light with the same root mean square of the
pixel differences.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Placebo
from melaudit.artifacts.picture import rounded

PATCHES = 2
"""Patches of light along a side of the neutral edit: large against any mark, small against the
picture."""
STRONGEST = 40.0
"""Levels of 255 by which uneven light changes a picture at most: more would be spots and not
light."""
ROUNDS = 4
"""Rounds in which an edit's strength is fitted, since pixels are clipped at black and white."""
THIN = 4
"""Every so manieth pixel along a side is enough to fit a strength on."""

VARIES = 0.15
"""Share by which the strength of an edit differs from one picture to the next."""

Field = NDArray[np.float32]


def everywhere(image: RGB, present: bool) -> Mask:
    """Return a mask (h, w) that covers the picture, or none of it."""
    return np.full(image.shape[:2], present, np.bool_)


def found(image: RGB, score: float, threshold: float) -> Found:
    """Return what a finder saw that has a score and no place."""
    present = score >= threshold
    return Found(score, present, everywhere(image, present))


def edited(before: RGB, after: RGB) -> Edited:
    """Return an edit of the whole picture; its mask is empty when no pixel changed."""
    return Edited(after, everywhere(before, not np.array_equal(before, after)))


def varied(rng: np.random.Generator) -> float:
    """Return a factor near 1 for the strength of an edit that has nothing else to draw."""
    return float(rng.uniform(1 - VARIES, 1 + VARIES))


def difference(first: RGB, second: RGB) -> float:
    """Return the root mean square difference of two pictures' values, in levels of 0 to 255."""
    gap = first.astype(np.float32) - second
    return float(np.sqrt(np.mean(gap * gap, dtype=np.float64)))


def uneven_light(image: RGB, strength: float, rng: np.random.Generator) -> RGB:
    """Return the picture under a smooth, uneven light that changes its values by `strength`.

    `strength` is the root mean square difference in levels of 0 to 255, `STRONGEST` at most. The
    light is brighter in some places and darker in others; what is black stays black.
    """
    height, width = image.shape[:2]
    coarse = rng.normal(size=(PATCHES + 1, PATCHES + 1)).astype(np.float32)
    light = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    light = np.tanh(0.7 * (light - light.mean()) / max(float(light.std()), 1e-6))
    field = image.astype(np.float32) * (light - light.mean())[..., None]
    return added(image, field, min(strength, STRONGEST))


def added(image: RGB, field: Field, strength: float) -> RGB:
    """Add a field (h, w, 3) to a picture, scaled to change its values by `strength`.

    Where black and white leave no room for that much, the change is as large as they allow.
    """
    size = float(np.sqrt(np.mean(field * field)))
    if strength <= 0 or size == 0:
        return image.copy()
    few, light = image[::THIN, ::THIN].astype(np.float32), field[::THIN, ::THIN]
    factor = strength / size
    for _ in range(ROUNDS):
        gap = np.clip(few + factor * light, 0, 255) - few
        reached = float(np.sqrt(np.mean(gap * gap)))
        factor *= min(strength / max(reached, 1e-6), 4.0)
    return rounded(image + factor * field)


def neutral(image: RGB, edit: Edited, rng: np.random.Generator) -> Placebo:
    """Return the placebo with no name for an edit: uneven light that changes as much."""
    light = uneven_light(image, difference(edit.image, image), rng)
    return Placebo("uneven_light", "a light that is uneven by as much", light)
