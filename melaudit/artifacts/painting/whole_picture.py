"""What artifacts of the whole picture share: masks that cover it, and a neutral edit.

A colour cast or blur has no place, and neither has its placebo. The amount of change stays
comparable: the neutral edit is a smooth, uneven light with the same root mean square of the pixel
differences.
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
MAX_LIGHT = 40.0
"""Root mean square in levels of 255 by which uneven light changes a picture at most: more would
look like spots and not like light. Chosen: a round figure, not measured."""
ROUNDS = 4
"""Rounds in which the strength of an edit is fitted, because pixels are clipped at black and
white."""
EVERY = 4
"""The strength is fitted on every fourth pixel along a side."""
VARIATION = 0.15
"""Share by which the strength of an edit varies from one picture to the next. Chosen: a round
figure, not measured."""

Field = NDArray[np.float32]
"""(h, w, 3) a change of the values, in any unit."""


def everywhere(image: RGB, present: bool) -> Mask:
    """Return a mask (h, w) that covers the whole picture, or nothing."""
    return np.full(image.shape[:2], present, np.bool_)


def whole_found(image: RGB, score: float, threshold: float) -> Found:
    """Return the result of a finder that has a score and no place."""
    present = score >= threshold
    return Found(score, present, everywhere(image, present))


def whole_edit(before: RGB, after: RGB) -> Edited:
    """Return an edit of the whole picture; its mask is empty if no pixel changed."""
    return Edited(after, everywhere(before, not np.array_equal(before, after)))


def varied(rng: np.random.Generator) -> float:
    """Return a factor near 1 for the strength of an edit that has nothing else to draw."""
    return float(rng.uniform(1 - VARIATION, 1 + VARIATION))


def rms_difference(first: RGB, second: RGB) -> float:
    """Return the root mean square of the pixel differences, in levels of 255."""
    gap = first.astype(np.float32) - second
    return float(np.sqrt(np.mean(gap * gap, dtype=np.float64)))


def uneven_light(image: RGB, strength: float, rng: np.random.Generator) -> RGB:
    """Return the picture under a smooth, uneven light.

    The light changes the values by `strength`, a root mean square in levels of 255, at most
    `MAX_LIGHT`. It is brighter in some places and darker in others; black stays black.
    """
    height, width = image.shape[:2]
    coarse = rng.normal(size=(PATCHES + 1, PATCHES + 1)).astype(np.float32)
    light = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    light = np.tanh(0.7 * (light - light.mean()) / max(float(light.std()), 1e-6))
    field = image.astype(np.float32) * (light - light.mean())[..., None]
    return added(image, field, min(strength, MAX_LIGHT))


def added(image: RGB, field: Field, strength: float) -> RGB:
    """Add a field (h, w, 3) to a picture, scaled so that the values change by `strength`.

    `strength` is a root mean square in levels of 255. If black and white leave no room for that,
    the change is as large as they allow.
    """
    size = float(np.sqrt(np.mean(field * field)))
    if strength <= 0 or size == 0:
        return image.copy()
    few, light = image[::EVERY, ::EVERY].astype(np.float32), field[::EVERY, ::EVERY]
    factor = strength / size
    for _ in range(ROUNDS):
        gap = np.clip(few + factor * light, 0, 255) - few
        reached = float(np.sqrt(np.mean(gap * gap)))
        factor *= min(strength / max(reached, 1e-6), 4.0)
    return rounded(image + factor * field)


def uneven_light_placebo(image: RGB, edited: Edited, rng: np.random.Generator) -> Placebo:
    """Return the neutral placebo of an edit: uneven light that changes the picture by as much."""
    light = uneven_light(image, rms_difference(edited.image, image), rng)
    return Placebo("uneven_light", "a light that is uneven by as much", light)
