"""Blur: the picture has no fine detail, because of poor focus, movement or enlargement.

How it is found: the share of the variation between neighbouring pixels that a further blur leaves,
0 to 1 (Crete et al. 2007), on a copy whose longer side is 288 pixels. It is a ratio, so contrast
does not matter; smooth skin without hair or marks scores somewhat higher. Most dermoscopy lies at
.25 to .45, a picture blurred by 1 % of its side at .6 to .75; the threshold of .6 lies between.
Why it matters: focus and immersion depend on the operator and the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.whole_picture import (
    added,
    rms_difference,
    uneven_light_placebo,
    varied,
    whole_edit,
    whole_found,
)
from melaudit.artifacts.picture import checked, checked_dose, checked_mask, rounded
from melaudit.artifacts.search.blurriness import blurriness

MAX_WIDTH = 0.016
"""Standard deviation of the blur at dose 1, as a share of the shorter side. Chosen: a round figure,
not measured."""
BLURRINESS = (0.30, 0.44, 0.62, 0.70, 0.75)
"""Blurriness of dermoscopy after a blur of each of `WIDTHS`."""
WIDTHS = (0.0, 0.004, 0.008, 0.012, 0.016)
"""Standard deviations of a blur, as shares of the shorter side."""
ROUNDS = 6
"""Rounds of sharpening: each restores finer detail, and more of the noise. Chosen: a round figure,
not measured."""

Pixel = TypeVar("Pixel", np.uint8, np.float32)

THING = "blur"
"""What error messages say is looked for."""


class Blur:
    """A picture without fine detail."""

    id = "blur"
    title = "Blurred picture"
    phrases = Phrases("blur", "blurred", "sharp", "blur", "blurred pictures", made="blurred")
    remedy = (
        "Leave blurred images out or take them again, or blur images of every class while "
        "training; then audit again."
    )
    whole_picture = True
    threshold = 0.6
    doses = "width of the blur"

    def find(self, image: RGB) -> Found:
        """Score the blurriness of an RGB image (h, w, 3); a found blur covers the picture.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        checked(image, THING)
        return whole_found(image, blurriness(image), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Blur the picture; the width varies a little with `rng`."""
        checked(image, THING)
        return whole_edit(image, _blurred(image, MAX_WIDTH * varied(rng) * checked_dose(dose)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Sharpen the picture by as much as it looks blurred; lost detail does not come back.

        Each round adds what a blur would remove from the result so far (Van Cittert 1931).
        """
        checked_mask(mask, checked(image, THING))
        width = float(np.interp(blurriness(image), BLURRINESS, WIDTHS))
        original = image.astype(np.float32)
        sharp = original
        for _ in range(ROUNDS if width > 0 else 0):
            sharp = np.clip(sharp + original - _blurred(sharp, width), 0, 255)
        return whole_edit(image, rounded(sharp))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and the picture sharpened by as much as the edit blurred it."""

        def sharpened() -> RGB:
            detail = image.astype(np.float32) - edited.image
            return added(image, detail, rms_difference(edited.image, image))

        return (
            uneven_light_placebo(image, edited, rng),
            PaintedLater(
                "sharpened",
                "a picture sharpened by as much",
                sharpened,
                "any change of sharpness",
            ),
        )


def _blurred(image: NDArray[Pixel], width: float) -> NDArray[Pixel]:
    """Return the picture under a Gaussian blur; `width` is a share of the shorter side."""
    if width <= 0:
        return image.copy()
    sigma = width * min(image.shape[:2])
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), image.dtype)
