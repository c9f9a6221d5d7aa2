"""Text: time stamps, numbers or notices that a camera or a program wrote into the picture.

Large semi-transparent watermarks are not found (docs/domains.md).

How it is found: small marks of equal contrast and height in a row, as close to each other as
letters. The ticks of a ruler also stand in a row, but all of them are thin; hairs are long.
Chosen: the constants are round figures, not measured: no labelled images exist (docs/artifacts.md).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.placebos import neutral_placebos
from melaudit.artifacts.painting.stamps import Stamp, from_images, stamped
from melaudit.artifacts.painting.text_drawing import bars, text_line
from melaudit.artifacts.picture import (
    blended,
    brightest_channel,
    checked,
    checked_dose,
    checked_mask,
    dilated,
    edit,
    enlarged,
    ramp,
    reduced,
)
from melaudit.artifacts.search.components import components
from melaudit.artifacts.search.row_completion import completed

SIDE = 320
"""Longer side of the reduced copy that is searched, in pixels."""
MAX_STROKE = 9
"""Width of the widest stroke of a letter, in pixels of that copy."""
MIN_CONTRAST = 40
"""Levels of 255 by which a letter must differ from its surroundings."""
HEIGHTS = (5, 38)
"""Smallest and largest height of a letter, in pixels of that copy."""
MAX_WIDTH = 1.5
"""Width of the widest letter, in heights."""
FILL = (0.18, 0.9)
"""Share of its bounding box that a letter fills."""
MAX_HEIGHT_RATIO = 1.35
"""How many times higher one letter of a row may be than the next."""
MAX_GAP = 0.9
"""Widest gap between letters, in heights."""
THIN = 0.34
"""Width over height up to which a mark may be a tick."""
LETTERS = (2.0, 6.0)
"""Letters in a row: from no text to certain text."""
CONTRAST_SPREAD = (0.4, 0.2)
"""Standard deviation of the contrast of the letters over its mean: from no text to certain text."""
THIN_SHARE = (0.9, 0.5)
"""Share of thin marks in a row: from no text to certain text."""
MIN_LEGIBLE = 70
"""Levels of 255 by which written letters must differ from the picture behind them; if they do not,
they are written in black or white."""
BLACK, WHITE = (18.0, 18.0, 20.0), (252.0, 252.0, 250.0)
RIM = 0.006
"""Width of the blur around letters, as a share of the longer side; removed with them."""
HOLES = 0.02
"""Half the width of the gaps between letters that the mask closes, as a share of the longer
side."""

Boxes = NDArray[np.float64]
"""(n, 5) left, top, width, height and contrast of each mark."""


class Text:
    """Letters and digits written into the picture.

    `stamps` are lines of letters lifted from pictures. `add` puts one of them in, or writes one if
    there are none.
    """

    id = "text"
    title = "Lettering in the picture"
    phrases: Phrases = Phrases(
        "lettering", "lettered", "letter-free", "written letters or digits", "letters"
    )
    remedy = "Export images without overlays, or cover the place of the lettering in every image."
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the letters"
    ground = "background"
    """What placebos call the colour that the picture itself has there."""

    def __init__(self, stamps: tuple[Stamp, ...] = ()) -> None:
        self.stamps = stamps

    def like(self, images: Iterable[RGB]) -> Text:
        """Return text that adds the lettering of these images; itself if none is found."""
        return from_images(self, self._showing, images)

    def _showing(self, stamps: tuple[Stamp, ...]) -> Text:
        own = copy.copy(self)  # with the words that a domain gave it
        own.stamps = stamps
        return own

    def find(self, image: RGB) -> Found:
        """Look for lettering in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, "lettering").shape[:2]
        small = reduced(image, SIDE)
        # Yellow letters on fair skin are as light as the skin, and differ in blue only.
        planes = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.ascontiguousarray(small[..., 2])
        kernel = np.ones((MAX_STROKE, MAX_STROKE), np.uint8)
        score, mask = 0.0, np.zeros(small.shape[:2], np.bool_)
        for plane, operation in product(planes, (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)):
            marked = cv2.morphologyEx(plane, operation, kernel)
            boxes = _marks(np.asarray(marked, np.uint8))
            for upright in (True, False):
                for row in _rows(boxes if upright else boxes[:, [1, 0, 3, 2, 4]]):
                    sureness = _score(row)
                    score = max(score, sureness)
                    if sureness >= self.threshold:
                        _fill(mask, row if upright else row[:, [1, 0, 3, 2, 4]])
        if score < self.threshold:
            return Found(score, False, np.zeros((height, width), np.bool_))
        return Found(score, True, _without_holes(completed(image, enlarged(mask, height, width))))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Write a time stamp, a number or a name near a corner; the dose is its opacity."""
        height, width = checked(image, "lettering").shape[:2]
        if self.stamps:
            return stamped(image, self.stamps, rng, checked_dose(dose))
        coverage, colour = text_line(height, width, rng)
        hidden = image[coverage > 0]
        if abs(float(hidden.mean()) - np.mean(colour)) < MIN_LEGIBLE:
            colour = BLACK if float(hidden.mean()) > 128 else WHITE
        return edit(image, blended(image, colour, checked_dose(dose) * coverage))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the letters from their rim."""
        checked_mask(mask, checked(image, "lettering"))
        return edit(image, closed(image, dilated(mask, RIM * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return skin and texture (neutral), and bars of the same colour and area."""
        mask = edited.mask
        checked(image, "lettering")
        (own,) = rng.spawn(1)

        def drawn() -> RGB:
            return blended(
                image, _painted_colour(image, edited), bars(mask, own).astype(np.float32)
            )

        return (
            *neutral_placebos(image, edited, rng, "lettering", self.ground),
            PaintedLater("bars", "bars of the same colour", drawn, "any small marks"),
        )


def _marks(marked: NDArray[np.uint8]) -> Boxes:
    """Return the boxes of the marks that may be letters; `marked` (h, w) is their contrast."""
    binary = (marked > MIN_CONTRAST).astype(np.uint8)
    count, label, stats, _ = components(binary)
    stats = stats[1:count].astype(np.float64)
    width, height, area = stats[:, 2], stats[:, 3], stats[:, 4]
    longer, shorter = np.maximum(width, height), np.minimum(width, height)
    fill = area / (width * height)
    fits = (longer >= HEIGHTS[0]) & (longer <= HEIGHTS[1]) & (shorter >= 2)
    fits &= (fill >= FILL[0]) & ((fill <= FILL[1]) | (shorter < THIN * longer))
    if not fits.any():
        return np.empty((0, 5))
    there = np.flatnonzero(binary)  # few of the pixels
    total = np.bincount(label.ravel()[there], marked.ravel()[there], count)[1:]
    boxes: Boxes = np.c_[stats[:, :4], total / area][fits]
    return boxes


def _rows(boxes: Boxes) -> list[Boxes]:
    """Return the rows of three or more marks that are side by side and about equally high."""
    fits = (boxes[:, 3] >= HEIGHTS[0]) & (boxes[:, 2] <= MAX_WIDTH * boxes[:, 3])
    boxes = boxes[fits]
    boxes = boxes[np.argsort(boxes[:, 0])]
    used = np.zeros(len(boxes), np.bool_)
    rows = []
    for first in range(len(boxes)):
        row = [first]
        while not used[first]:
            left, top, width, height, _ = boxes[row[-1]]
            gap = boxes[:, 0] - left - width
            near = (gap > -0.2 * height) & (gap < MAX_GAP * height) & ~used
            near &= np.abs(boxes[:, 1] + boxes[:, 3] / 2 - top - height / 2) < 0.25 * height
            near &= np.abs(np.log(boxes[:, 3] / height)) < np.log(MAX_HEIGHT_RATIO)
            near[row] = False
            if not near.any():
                break
            row.append(int(np.flatnonzero(near)[gap[near].argmin()]))
        if len(row) > 2:
            used[row] = True
            rows.append(boxes[row])
    return rows


def _score(row: Boxes) -> float:
    """Return how surely a row of marks is text."""
    contrast = row[:, 4]
    thin = float((row[:, 2] < THIN * row[:, 3]).mean())
    return (
        ramp(len(row), LETTERS)
        * ramp(float(contrast.std() / contrast.mean()), CONTRAST_SPREAD)
        * ramp(thin, THIN_SHARE)
    )


def _fill(mask: Mask, row: Boxes) -> None:
    """Set the boxes of a row, one pixel larger on each side, in a mask (h, w)."""
    for left, top, width, height, _ in row.astype(int):
        mask[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1] = True


def _without_holes(mask: Mask) -> Mask:
    """Return a mask (h, w) with its gaps closed, such as full stops between letters."""
    reach = 2 * max(1, round(HOLES * max(mask.shape))) + 1
    kernel = np.ones((reach, reach), np.uint8)
    # Without padding, closing would erode a mask that touches the edge of the picture.
    padded = np.pad(mask.astype(np.uint8), reach)
    filled: Mask = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[reach:-reach, reach:-reach] > 0
    return filled


def _painted_colour(image: RGB, edited: Edited) -> tuple[float, float, float]:
    """Return the colour of an edit, measured where it changed the picture most."""
    if not edited.mask.any():
        return 128.0, 128.0, 128.0
    gain = brightest_channel(np.asarray(cv2.absdiff(image, edited.image), np.uint8))
    deepest = gain >= max(float(np.percentile(gain[edited.mask], 80)), 1.0)
    tone = np.median(edited.image[deepest & edited.mask], 0)
    return float(tone[0]), float(tone[1]), float(tone[2])
