"""Inverted grey levels: a negative, in which air is white and bone is black.

How it is found: in a radiograph the air beside the neck, in a slice the air around the body is
black. So the two upper corners are held against the middle: corners that are nearly white and
lighter than most of the middle belong to a negative. A white border is cut off first. Pictures
whose corners show no air are not called inverted.
Why it matters: some archives store grey levels inverted (DICOM's MONOCHROME1), and pipelines that
forget it feed a model negatives from one source and not from another.
Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.whole_picture import (
    rms_difference,
    uneven_light_placebo,
    whole_edit,
    whole_found,
)
from melaudit.artifacts.picture import checked, checked_dose, checked_mask, ramp, reduced

SIDE = 64
"""Longer side of the reduced copy that is measured, in pixels."""
CORNER = 0.1
"""Side of a corner, as a share of the picture's side."""
WHITE = 235
"""Level from which a pixel may belong to a white border."""
ALL_ALONG = 0.97
"""Share of a row that is white, from which it may belong to one."""
LIGHT = (0.65, 0.85)
"""Lightness of the darker corner, 0 to 1, from no negative to a certain one."""
APART = 12
"""Levels of 255 by which a pixel is darker than the corners."""
DARKER = (0.6, 0.9)
"""Share of the middle that is, from no negative to a certain one."""
MIN_WAY = 0.85
"""Share of the way to the negative that `add` goes at least at dose 1."""
EXPONENT = 0.45
"""Exponent of the curve of the look-alike: it lightens without turning grey levels round."""

THING = "inverted grey levels"
"""What error messages say is looked for."""


class Inverted:
    """Grey levels turned round: the whole picture is a negative."""

    id = "inverted"
    title = "Inverted grey levels"
    phrases = Phrases(
        "inversion",
        "inverted",
        "non-inverted",
        "inverted grey levels",
        "negatives",
        made="inverted",
    )
    remedy = (
        "Read the photometric interpretation of every file, and turn negatives round before "
        "training and in use; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "share of the way to the negative"
    aliases = ("monochrome1", "negative")

    def find(self, image: RGB) -> Found:
        """Look for inverted grey levels in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        grey = cv2.cvtColor(reduced(checked(image, THING), SIDE), cv2.COLOR_RGB2GRAY)
        white = grey >= WHITE
        kept = white.mean(1) < ALL_ALONG, white.mean(0) < ALL_ALONG
        inside = grey[np.ix_(*kept)]
        if not inside.size:
            return whole_found(image, 0.0, self.threshold)
        height, width = inside.shape
        down, across = (max(1, round(CORNER * n)) for n in inside.shape)
        corners = min(np.median(inside[:down, :across]), np.median(inside[:down, -across:]))
        middle = inside[height // 4 : height - height // 4, width // 4 : width - width // 4]
        darker = float((middle < corners - APART).mean())
        score = ramp(float(corners) / 255, LIGHT) * ramp(darker, DARKER)
        return whole_found(image, score, self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Turn the grey levels round; the dose is the share of the way there."""
        checked(image, THING)
        way = checked_dose(dose) * float(rng.uniform(MIN_WAY, 1.0))
        mixed = (1 - way) * image.astype(np.float32) + way * (255 - image.astype(np.float32))
        return whole_edit(image, np.asarray(mixed + 0.5, np.uint8) if way else image.copy())

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Turn the grey levels round again; `mask` is only checked."""
        checked_mask(mask, checked(image, THING))
        return whole_edit(image, np.asarray(255 - image, np.uint8))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and a picture that is lighter in its dark parts."""

        def lightened() -> RGB:
            lighter = 255 * (image.astype(np.float32) / 255) ** EXPONENT
            gap = max(rms_difference(np.asarray(lighter, np.uint8), image), 1e-3)
            weight = min(1.0, rms_difference(edited.image, image) / gap)
            return np.asarray(image + weight * (lighter - image) + 0.5, np.uint8)

        return (
            uneven_light_placebo(image, edited, rng),
            PaintedLater(
                "lighter",
                "a picture with its dark parts lightened",
                lightened,
                "any change of grey levels",
            ),
        )
