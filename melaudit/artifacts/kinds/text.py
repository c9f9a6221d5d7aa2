"""Lettering: time stamps, numbers, watermarks that a camera or a program wrote into the picture.

What is looked for: small marks of one contrast and one height, in a row, as near to one another as
letters are. The ticks of a ruler stand in a row too, but are all thin; hairs are long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.placebos import neutral
from melaudit.artifacts.painting.stamps import Stamp, alike, pressed
from melaudit.artifacts.painting.text_drawing import bars, lettering
from melaudit.artifacts.picture import (
    checked,
    checked_dose,
    checked_mask,
    edit,
    enlarged,
    grown,
    mixed,
    most,
    reduced,
    sure,
)
from melaudit.artifacts.search.row_completion import completed

SIDE = 320
"""Longer side of the reduced copy that is searched, in pixels."""
STROKE = 9
"""Widest stroke of a letter, in pixels of that copy."""
CONTRAST = 40
"""Levels that a letter differs from what lies around it."""
HEIGHTS = (5, 38)
"""Least and greatest height of a letter, in pixels of that copy."""
WIDEST = 1.5
"""Widest a letter is, in heights."""
FILLED = (0.18, 0.9)
"""Share of its box that a letter fills."""
ALIKE = 1.35
"""How many times higher one letter of a row is than the next, at most."""
GAP = 0.9
"""Widest gap between letters, in heights."""
THIN = 0.34
"""Width over height up to which a mark may be a tick."""
LETTERS = (2.0, 6.0)
"""Letters in a row: from no text to sure text."""
UNEVEN = (0.4, 0.2)
"""Spread of the letters' contrast over its mean: from no text to sure text."""
TICKS = (0.9, 0.5)
"""Share of thin marks in a row: from no text to sure text."""
LEGIBLE = 70
"""Levels that letters differ from the picture behind, at least; else black or white ones do."""
BLACK, WHITE = (18.0, 18.0, 20.0), (252.0, 252.0, 250.0)
RIM = 0.006
"""Blur around letters, in sides; removed with them."""

STOPS = 0.02
"""Half the width of the gaps between letters that are closed, in longer sides."""

Boxes = NDArray[np.float64]
"""(n, 5) left, top, width, height and contrast of marks."""


class Text:
    """Letters and digits written into the picture.

    `shown` is lettering taken off pictures, of which `add` puts in one; without any it writes some.
    """

    id = "text"
    title = "Lettering in the picture"
    phrases: Phrases = Phrases(
        "lettering", "lettered", "letter-free", "letters or digits written into it", "letterings"
    )
    remedy = "Export images without overlays, or cover the place of the lettering in every image."
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the letters"

    def __init__(self, shown: tuple[Stamp, ...] = ()) -> None:
        self.shown = shown

    def like(self, images: Iterable[RGB]) -> Text:
        """Return lettering as these pictures show it; itself where none is seen."""
        return alike(self, Text, images)

    def find(self, image: RGB) -> Found:
        """Look for lettering in an RGB image (h, w, 3) of any size.

        Raises ValueError when the array is no 8-bit RGB image.
        """
        height, width = checked(image, "lettering").shape[:2]
        small = reduced(image, SIDE)
        # Yellow letters on fair skin are as light as it is, and differ in blue alone.
        planes = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.ascontiguousarray(small[..., 2])
        kernel = np.ones((STROKE, STROKE), np.uint8)
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
        whole = _without_holes(completed(image, enlarged(mask, height, width)))
        return Found(score, score >= self.threshold, whole)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Write a time stamp, a number or a name near a corner; the dose is how opaque it is."""
        height, width = checked(image, "lettering").shape[:2]
        if self.shown:
            return pressed(image, self.shown, rng, checked_dose(dose))
        cover, colour = lettering(height, width, rng)
        hidden = image[cover > 0]
        if abs(float(hidden.mean()) - np.mean(colour)) < LEGIBLE:
            colour = BLACK if float(hidden.mean()) > 128 else WHITE
        return edit(image, mixed(image, colour, checked_dose(dose) * cover))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the letters from their rim."""
        checked_mask(mask, checked(image, "lettering"))
        return edit(image, closed(image, grown(mask, RIM)))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return skin and texture in place of the letters (neutral), and bars of equal ink."""
        mask = edited.mask
        checked(image, "lettering")
        colour = _ink(image, edited)
        drawn = bars(mask, rng).astype(np.float32)
        return (
            *neutral(image, edited, rng, "lettering"),
            Placebo(
                "bars", "bars of the same colour", mixed(image, colour, drawn), "any small marks"
            ),
        )


def _marks(marked: NDArray[np.uint8]) -> Boxes:
    """Return the boxes of marks that may be letters."""
    binary = (marked > CONTRAST).astype(np.uint8)
    count, label, stats, _ = cv2.connectedComponentsWithStats(binary)
    stats = stats[1:count].astype(np.float64)
    if not len(stats):
        return np.empty((0, 5))
    total = np.bincount(label.ravel(), marked.ravel(), count)[1:]
    width, height, area = stats[:, 2], stats[:, 3], stats[:, 4]
    longer, shorter = np.maximum(width, height), np.minimum(width, height)
    fill = area / (width * height)
    fits = (longer >= HEIGHTS[0]) & (longer <= HEIGHTS[1]) & (shorter >= 2)
    fits &= (fill >= FILLED[0]) & ((fill <= FILLED[1]) | (shorter < THIN * longer))
    boxes: Boxes = np.c_[stats[:, :4], total / area][fits]
    return boxes


def _rows(boxes: Boxes) -> list[Boxes]:
    """Return the runs of three or more marks that stand side by side and are equally high."""
    fits = (boxes[:, 3] >= HEIGHTS[0]) & (boxes[:, 2] <= WIDEST * boxes[:, 3])
    boxes = boxes[fits]
    boxes = boxes[np.argsort(boxes[:, 0])]
    used = np.zeros(len(boxes), np.bool_)
    rows = []
    for first in range(len(boxes)):
        row = [first]
        while not used[first]:
            left, top, width, height, _ = boxes[row[-1]]
            gap = boxes[:, 0] - left - width
            near = (gap > -0.2 * height) & (gap < GAP * height) & ~used
            near &= np.abs(boxes[:, 1] + boxes[:, 3] / 2 - top - height / 2) < 0.25 * height
            near &= np.abs(np.log(boxes[:, 3] / height)) < np.log(ALIKE)
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
        sure(len(row), LETTERS)
        * sure(float(contrast.std() / contrast.mean()), UNEVEN)
        * sure(thin, TICKS)
    )


def _fill(mask: Mask, row: Boxes) -> None:
    """Set the boxes of a row in a mask, with what lies between them."""
    for left, top, width, height, _ in row.astype(int):
        mask[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1] = True


def _without_holes(mask: Mask) -> Mask:
    """Return a mask with the stops and commas that its letters leave out."""
    reach = 2 * max(1, round(STOPS * max(mask.shape))) + 1
    kernel = np.ones((reach, reach), np.uint8)
    # Padded, or what touches the edge of the picture would be eaten from there.
    padded = np.pad(mask.astype(np.uint8), reach)
    filled: Mask = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[reach:-reach, reach:-reach] > 0
    return filled


def _ink(image: RGB, edited: Edited) -> tuple[float, float, float]:
    """Return the colour that an edit painted with, read where it changed the picture most."""
    if not edited.mask.any():
        return 128.0, 128.0, 128.0
    gain = most(np.asarray(cv2.absdiff(image, edited.image), np.uint8))
    deepest = gain >= max(float(np.percentile(gain[edited.mask], 80)), 1.0)
    tone = np.median(edited.image[deepest & edited.mask], 0)
    return float(tone[0]), float(tone[1]), float(tone[2])
