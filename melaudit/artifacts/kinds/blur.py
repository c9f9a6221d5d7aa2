"""Blur: the picture has no fine detail, from poor focus, movement or enlargement.

What is measured: how much of the variation between neighbouring pixels survives a further blur, 0
to 1 (Crete et al. 2007), on a copy whose longer side is 288 pixels. It is a ratio, so it does not
follow contrast; smooth skin without hair or marks scores somewhat higher. Most dermoscopy lies at
.25 to .45, a picture blurred by 1 % of its side at .6 to .75.
Why: focus and immersion go with the operator and the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.overall import added, difference, edited, found, neutral, varied
from melaudit.artifacts.picture import Layer, checked, checked_dose, checked_mask, reduced, rounded
from melaudit.artifacts.search.photometry import field_and_zone

SIDE = 288
"""Longer side of the reduced copy that is measured, in pixels; smaller pictures stay as they
are."""
LENGTH = 9
"""Pixels of the reduced copy over which it is blurred again."""
WIDEST = 0.016
"""Standard deviation of the blur at dose 1, in parts of the shorter side."""
BLURRINESS = (0.30, 0.44, 0.62, 0.70, 0.75)
WIDTHS = (0.0, 0.004, 0.008, 0.012, 0.016)
"""Widths of a blur, in parts of the shorter side, that usually go with that blurriness."""
ROUNDS = 6
"""Rounds of sharpening: each brings back finer detail, and more of the noise."""

Pixel = TypeVar("Pixel", np.uint8, np.float32)

THING = "blur"
"""What is looked for."""


class Blur:
    """A picture without fine detail."""

    id = "blur"
    title = "Blurred picture"
    phrases = Phrases("blur", "blurred", "sharp", "blur", "blurred pictures")
    remedy = (
        "Leave blurred images out or take them again, or blur images of every class while "
        "training; then audit again."
    )
    overall = True
    threshold = 0.6
    doses = "width of the blur"

    def find(self, image: RGB) -> Found:
        """Score the share of the variation that a further blur leaves."""
        checked(image, THING)
        return found(image, blurriness(image), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put the picture out of focus; how far varies a little with `rng`."""
        checked(image, THING)
        return edited(image, _defocused(image, WIDEST * varied(rng) * checked_dose(dose)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Sharpen by as much as the picture looks blurred; what is lost does not come back.

        Each round adds what a blur would take from the result so far (Van Cittert 1931).
        """
        checked_mask(mask, checked(image, THING))
        width = float(np.interp(blurriness(image), BLURRINESS, WIDTHS))
        given = image.astype(np.float32)
        sharp = given
        for _ in range(ROUNDS if width > 0 else 0):
            sharp = np.clip(sharp + given - _defocused(sharp, width), 0, 255)
        return edited(image, rounded(sharp))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and a picture sharpened by as much as the edit blurred it."""
        target = difference(edited.image, image)
        detail = image.astype(np.float32) - edited.image
        return (
            neutral(image, edited, rng),
            Placebo(
                "sharpened",
                "a picture sharpened by as much",
                added(image, detail, target),
                "any change of sharpness",
            ),
        )


def blurriness(image: RGB) -> float:
    """Return 0 to 1: the share of neighbouring pixels' variation that a further blur leaves.

    The larger of the two directions counts, so that a blur by movement does too. A picture of one
    colour has no detail to lose: 1.
    """
    return _most_left(reduced(image, SIDE), (None,))[0]


def blurrinesses(image: RGB) -> tuple[float, float]:
    """Return the blurriness of the picture, and that of the skin outside its middle."""
    small = reduced(image, SIDE)
    whole, around = _most_left(small, (None, field_and_zone(small)[1]))
    return whole, around


def _most_left(small: RGB, places: Sequence[Mask | None]) -> list[float]:
    """Return the larger share left of the two directions, in each place (h, w), None for all."""
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    along = [_variation(grey, axis) for axis in (0, 1)]
    return [max(_left(*along[axis], place, axis) for axis in (0, 1)) for place in places]


def _variation(grey: NDArray[np.float32], axis: int) -> tuple[Layer, Layer]:
    """Return the variation along an axis of a grey picture (h, w), and what a blur takes of it."""
    again = cv2.blur(grey, (1, LENGTH) if axis == 0 else (LENGTH, 1))
    before = np.abs(np.diff(grey, axis=axis))
    return before, np.maximum(before - np.abs(np.diff(again, axis=axis)), 0)


def _left(before: Layer, lost: Layer, where: Mask | None, axis: int) -> float:
    """Return the share of the variation along an axis that is left where a mask (h, w) is True."""
    if where is not None:
        pairs = np.delete(where, 0, axis) & np.delete(where, -1, axis)
        before, lost = before[pairs], lost[pairs]
    total = float(before.sum(dtype=np.float64))
    return 1 - float(lost.sum(dtype=np.float64)) / total if total > 0 else 1.0


def _defocused(image: NDArray[Pixel], width: float) -> NDArray[Pixel]:
    """Return the picture blurred by a Gaussian of a width in parts of the shorter side."""
    if width <= 0:
        return image.copy()
    sigma = width * min(image.shape[:2])
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), image.dtype)
