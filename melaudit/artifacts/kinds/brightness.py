"""A dark picture: the whole picture has little light.

How it is found: the median lightness L* (0 to 100) of the field of view, without the black outside
a dermatoscope's ring. A score of 0.5 is L* 50; most dermoscopy lies at 60 to 80. The lesion is part
of the field, so a very large dark lesion also counts. So does very dark skin: pixels cannot tell it
from a short exposure.
Why it matters: exposure depends on device and clinic, and dark skin on who is photographed where.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.bisection import bisected
from melaudit.artifacts.painting.relighting import relit
from melaudit.artifacts.painting.whole_picture import (
    EVERY,
    rms_difference,
    uneven_light_placebo,
    varied,
    whole_edit,
    whole_found,
)
from melaudit.artifacts.picture import checked, checked_dose, checked_mask
from melaudit.artifacts.search.photometry import photometry

STOPS = 1.5
"""Stops of light that are removed at dose 1. Chosen: a round figure, not measured."""
USUAL = 68.0
"""Median L* of public dermoscopy images, to which a dark picture is brightened."""
DARK = 50.0
"""Median L* up to which a picture is dark. Chosen: most dermoscopy lies at 60 to 80."""
MAX_GAIN = 8.0
"""Largest gain by which a dark picture is brightened; beyond it only noise would be seen. Chosen: a
round figure, not measured."""
MIN_EXPONENT = 0.45
"""Exponent of the strongest brightening curve; a smaller one would leave a white page. Chosen: a
round figure, not measured."""
HALVINGS = 8
"""Halvings of the interval in which the exponent of a look-alike is fitted."""

THING = "darkness"
"""What error messages say is looked for."""


class Brightness:
    """An exposure that leaves the whole picture dark.

    `usual` is the median L* to which a dark picture is brightened; up to `dark` a picture counts as
    dark. The usual ones are those of dermoscopy.
    """

    id = "brightness"
    title = "Dark picture"
    phrases = Phrases(
        "darkness", "dark", "lighter", "a dark picture", "dark pictures", made="darkened"
    )
    remedy = (
        "Bring every image to the same lightness before training and in use, or vary the exposure "
        "while training; then audit again."
    )
    whole_picture = True
    doses = "stops of light taken away"

    def __init__(self, usual: float = USUAL, dark: float = DARK) -> None:
        self.usual, self.threshold = usual, 1 - dark / 100

    def find(self, image: RGB) -> Found:
        """Score darkness in an RGB image (h, w, 3): 1 is black, 0 white; see `dark`.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        checked(image, THING)
        return whole_found(image, 1 - photometry(image).lightness / 100, self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Expose the picture with less light; the amount varies a little with `rng`."""
        checked(image, THING)
        return whole_edit(image, _exposed(image, -STOPS * varied(rng) * checked_dose(dose)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Brighten the picture to the usual lightness; `mask` is only checked."""
        checked_mask(mask, checked(image, THING))
        now = photometry(image).lightness
        stops = np.log2(np.clip(_light(self.usual) / max(_light(now), 1e-4), 1.0, MAX_GAIN))
        return whole_edit(image, _exposed(image, float(stops)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and the picture brightened by as much."""
        return (
            uneven_light_placebo(image, edited, rng),
            PaintedLater(
                "bright",
                "a picture brightened by as much",
                lambda: _brighter(image, rms_difference(edited.image, image)),
                "any change of exposure",
            ),
        )


def _exposed(image: RGB, stops: float) -> RGB:
    return relit(image, np.full(3, 2.0**stops)) if stops else image.copy()


def _light(lightness: float) -> float:
    """Return the luminance, 0 to 1, of an L* (CIE 1976)."""
    return ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness / 903.3


def _brighter(image: RGB, target: float) -> RGB:
    """Return the picture brightened by `target` (root mean square), or as nearly as possible.

    It follows a power curve and not more light, because light would clip bright skin at white.
    """
    few = image[::EVERY, ::EVERY]
    low, high = bisected(
        lambda exponent: rms_difference(_curved(few, exponent), few) < target,
        MIN_EXPONENT,
        1.0,
        HALVINGS,
    )
    return _curved(image, (low + high) / 2)


def _curved(image: RGB, exponent: float) -> RGB:
    table = np.round(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)
