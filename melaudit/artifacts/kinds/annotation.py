"""Annotations: coloured arrows, circles or crosses that a person drew on a grey picture.

How it is found: coloured pixels in a picture that is grey elsewhere. In a picture that is in colour
as a whole nothing counts as an annotation.
Why it matters: a reader marks what is abnormal, so a mark tells the label.
Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.canvas import Canvas, Points, bar, ribbon
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.thin_placebos import blotches
from melaudit.artifacts.picture import (
    blended,
    brightest_channel,
    checked,
    checked_dose,
    checked_mask,
    darkest_channel,
    dilated,
    edit,
    enlarged,
    ramp,
    reduced,
)

SIDE = 256
"""Longer side of the reduced copy that is searched, in pixels."""
COLOURED = 60
"""Levels of 255 between the channels from which a pixel is coloured."""
TINTED = 25
"""Levels between the channels from which a pixel is not grey."""
MAX_TINTED = 0.25
"""Share of pixels that are not grey, from which the picture is in colour as a whole."""
AREA = (0.0002, 0.0012)
"""Share of the picture that is coloured, from no annotation to a certain one."""
COLOURS = ((235, 60, 50), (245, 220, 60), (70, 220, 90), (80, 170, 245))
THICKNESS = (0.008, 0.014)
"""Width of a stroke, as a share of the shorter side."""
RADII = (0.06, 0.12)
"""Radius of a circle and half the length of an arrow, as a share of the shorter side."""
MARGIN = 0.006
"""Radius by which the mask is dilated before removal, as a share of the longer side."""
POINTS = 64

THING = "annotations"
"""What error messages say is looked for."""


class Annotation:
    """Coloured marks drawn on a grey picture."""

    id = "annotation"
    title = "Drawn annotations"
    phrases = Phrases(
        "annotation",
        "annotated",
        "annotation-free",
        "coloured arrows or circles",
        "annotations",
    )
    remedy = "Take the images without annotations, as the device stored them."
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the strokes"
    aliases = ("annotations", "arrow", "arrows")

    def find(self, image: RGB) -> Found:
        """Look for coloured marks in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, THING).shape[:2]
        small = reduced(image, SIDE)
        spread = brightest_channel(small).astype(np.int16) - darkest_channel(small)
        coloured = spread >= COLOURED
        if (spread >= TINTED).mean() > MAX_TINTED:
            return Found(0.0, False, np.zeros((height, width), np.bool_))
        score = ramp(float(coloured.mean()), AREA)
        present = score >= self.threshold
        mask = dilated(coloured, 1) if present else np.zeros_like(coloured)
        return Found(score, present, enlarged(mask, height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Draw a coloured circle or arrow; the dose is its opacity."""
        height, width = checked(image, THING).shape[:2]
        coverage, colour = _strokes(height, width, rng)
        return edit(image, blended(image, colour, checked_dose(dose) * coverage))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the picture over the strokes."""
        checked_mask(mask, checked(image, THING))
        return edit(image, closed(image, dilated(mask, MARGIN * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return blotches (neutral), and the same strokes in grey."""
        side = min(checked(image, THING).shape[:2])

        def strokes() -> RGB:
            grey = cv2.cvtColor(np.ascontiguousarray(edited.image), cv2.COLOR_RGB2GRAY)
            return np.where(edited.mask[..., None], grey[..., None], image).astype(np.uint8)

        return (
            Placebo(
                "blotches",
                "soft light and dark blotches along the strokes",
                blotches(image, edited, 0.08 * side, rng),
            ),
            PaintedLater("grey", "the same strokes in grey", strokes, "any thin strokes"),
        )


def _strokes(
    height: int, width: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """Return the coverage (h, w) of a circle or an arrow, and its colour."""
    side = min(height, width)
    tone = COLOURS[rng.integers(len(COLOURS))]
    thick, reach = rng.uniform(*THICKNESS) * side, rng.uniform(*RADII) * side
    middle = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
    turn = rng.uniform(0, 2 * np.pi)
    canvas = Canvas(height, width)
    if rng.random() < 0.5:
        angles = np.linspace(0, 2 * np.pi, POINTS)
        circle: Points = middle + reach * np.stack([np.cos(angles), np.sin(angles)], 1)
        canvas.fill(ribbon(circle, np.full(POINTS, thick)))
    else:
        ahead = np.array([np.cos(turn), np.sin(turn)])
        aside = np.array([-ahead[1], ahead[0]])
        tip = middle + reach * ahead
        canvas.fill(bar(middle - reach * ahead, tip - 2 * thick * ahead, thick))
        base = tip - 3.5 * thick * ahead
        canvas.fill(np.stack([tip, base + 2 * thick * aside, base - 2 * thick * aside]))
    return canvas.coverage(max(0.001 * side, 0.3)), (float(tone[0]), float(tone[1]), float(tone[2]))
