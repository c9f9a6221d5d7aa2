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
from melaudit.artifacts.painting.whole_picture import (
    added,
    difference,
    edited,
    found,
    neutral,
    varied,
)
from melaudit.artifacts.picture import checked, checked_dose, checked_mask, rounded
from melaudit.artifacts.search.blurriness import blurriness

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
    whole_picture = True
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


def _defocused(image: NDArray[Pixel], width: float) -> NDArray[Pixel]:
    """Return the picture blurred by a Gaussian of a width in parts of the shorter side."""
    if width <= 0:
        return image.copy()
    sigma = width * min(image.shape[:2])
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), image.dtype)
