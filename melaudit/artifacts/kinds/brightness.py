"""A dark picture: as a whole it has little light.

What is measured: the median lightness L* (0 to 100) of the field of view, without the black outside
of a dermatoscope. A score of 0.5 is L* 50; most dermoscopy lies at 60 to 80. The lesion is part of
the field, so a very large dark lesion counts as well, and so does very dark skin:
pixels cannot tell it from a short exposure.
Why: exposure goes with device and clinic, and dark skin with who is photographed where.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.relighting import relit
from melaudit.artifacts.painting.whole_picture import difference, edited, found, neutral, varied
from melaudit.artifacts.picture import checked, checked_dose, checked_mask
from melaudit.artifacts.search.photometry import photometry

STOPS = 1.5
"""Stops of light that are taken away at dose 1."""
USUAL = 68.0
"""Median L* of public dermoscopy images, to which a dark one is lifted."""
MOST = 8.0
"""Gain beyond which a dark picture is not lifted: its noise would be all there is."""
FLATTEST = 0.45
"""Exponent of the curve that brightens the most: a flatter one would leave a white page."""
HALVINGS = 8
"""Steps in which a look-alike's strength is fitted."""

THING = "darkness"
"""What is looked for."""


class Brightness:
    """An exposure that leaves the whole picture dark."""

    id = "brightness"
    title = "Dark picture"
    phrases = Phrases("darkness", "dark", "lighter", "a dark picture", "dark pictures")
    remedy = (
        "Bring every image to the same lightness before training and in use, or vary the exposure "
        "while training; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "stops of light taken away"

    def find(self, image: RGB) -> Found:
        """Score darkness: 1 for black, 0.5 at a median L* of 50, 0 for white."""
        checked(image, THING)
        return found(image, 1 - photometry(image).lightness / 100, self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Expose the picture with less light; how much less varies a little with `rng`."""
        checked(image, THING)
        return edited(image, _exposed(image, -STOPS * varied(rng) * checked_dose(dose)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Lift the picture to the usual lightness; `mask` is not needed."""
        checked_mask(mask, checked(image, THING))
        now = photometry(image).lightness
        stops = np.log2(np.clip(_light(USUAL) / max(_light(now), 1e-4), 1.0, MOST))
        return edited(image, _exposed(image, float(stops)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and a picture brightened by as much."""
        target = difference(edited.image, image)
        return (
            neutral(image, edited, rng),
            Placebo(
                "bright",
                "a picture brightened by as much",
                _brighter(image, target),
                "any change of exposure",
            ),
        )


def _exposed(image: RGB, stops: float) -> RGB:
    return relit(image, np.full(3, 2.0**stops)) if stops else image.copy()


def _light(lightness: float) -> float:
    """Return the share of light, 0 to 1, of an L* (CIE 1976)."""
    return ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness / 903.3


def _brighter(image: RGB, target: float) -> RGB:
    """Return a picture brightened by `target`, or as near as can be, along a curve of exponent.

    A curve and not more light: bright skin would be cut off at white.
    """
    few, low, high = image[::4, ::4], FLATTEST, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if difference(_curved(few, middle), few) < target:
            high = middle
        else:
            low = middle
    return _curved(image, (low + high) / 2)


def _curved(image: RGB, exponent: float) -> RGB:
    table = np.round(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)
