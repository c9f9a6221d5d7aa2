"""A side marker: a single letter, L or R, of lead or burned in, near the edge of a radiograph.

How it is found: a bright mark of even brightness that stands alone in the outer part of the picture
and has the shape of an L or an R in one of a few fonts, upright or mirrored. Letters in a row are
lettering and no side marker.
Why it matters: which marker is used, and where it lies, differs between hospitals, devices and
wards. Networks told hospitals apart by it (Zech et al. 2018).
Chosen: the constants, on drawn radiographs (docs/domains.md has what was measured).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.stamps import Stamp, from_images, stamped
from melaudit.artifacts.painting.thin_placebos import blotches
from melaudit.artifacts.picture import (
    Layer,
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

SIDE = 256
"""Longer side of the reduced copy that is searched, in pixels."""
WINDOW = 41
"""Side of the window in which a mark stands out, in pixels of the reduced copy: larger than any."""
MIN_CONTRAST = 60
"""Levels of 255 by which a mark is brighter than what lies around it."""
HEIGHTS = (7, 36)
"""Height of a letter, in pixels of the reduced copy."""
SHAPES = (0.3, 1.25)
"""Width of a letter over its height."""
OUTER = 0.45
"""Distance from the middle from which a place is in the outer part, as a share of half the side."""
ALONE = 0.8
"""Heights of a letter within which a second mark makes it lettering."""
GRID = 16
"""Side of the grid on which shapes are compared, in cells."""
LIKENESS = (0.62, 0.82)
"""Correlation with the best letter, from no letter to a certain one."""
LETTERS = "LR"
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
STROKES = (3, 5, 8)
"""Widths of the strokes of a letter 44 pixels high."""

SIZES = (0.06, 0.1)
"""Height of a letter that is added, as a share of the shorter side."""
RIM = 0.008
"""Width of the blur around a letter, as a share of the longer side; removed with it."""

THING = "a side marker"
"""What error messages say is looked for."""


class SideMarker:
    """A single letter, L or R, near the edge.

    `stamps` are markers lifted from pictures. `add` puts one of them in, or draws one if there are
    none.
    """

    id = "side_marker"
    title = "Side marker"
    phrases: Phrases = Phrases(
        "side marker", "marked", "marker-free", "a side marker (L or R)", "side markers"
    )
    remedy = (
        "Cover the place of the marker in every image, or give images of every class the same "
        "markers while training; then audit again."
    )
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the letter"
    ground = "background"
    """What placebos call the colour that the picture itself has there."""
    aliases = ("marker", "lateralitymarker", "lateralitymarkers", "sidemarkers")

    def __init__(self, stamps: tuple[Stamp, ...] = ()) -> None:
        self.stamps = stamps

    def like(self, images: Iterable[RGB]) -> SideMarker:
        """Return a marker that adds those of these images; itself if none is found."""
        return from_images(self, self._showing, images)

    def _showing(self, stamps: tuple[Stamp, ...]) -> SideMarker:
        own = copy.copy(self)  # with the words that a domain gave it
        own.stamps = stamps
        return own

    def find(self, image: RGB) -> Found:
        """Look for a side marker in an RGB image (h, w, 3) of any size; the mask is the letters.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, THING).shape[:2]
        light = brightest_channel(reduced(image, SIDE))
        marks, label = _marks(light)
        scores = [ramp(_likeness(label == number), LIKENESS) for number in marks]
        score = max(scores, default=0.0)
        mask = np.zeros(light.shape, np.bool_)
        if score >= self.threshold:
            chosen = [n for n, s in zip(marks, scores, strict=True) if s >= self.threshold]
            mask = np.isin(label, chosen)
        return Found(score, score >= self.threshold, enlarged(mask, height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put a letter near an upper corner; the dose is its opacity."""
        height, width = checked(image, THING).shape[:2]
        if self.stamps:
            return stamped(image, self.stamps, rng, checked_dose(dose))
        coverage = _letter(height, width, rng)
        return edit(image, blended(image, (250.0,) * 3, checked_dose(dose) * coverage))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the letters from their rim."""
        checked_mask(mask, checked(image, THING))
        return edit(image, closed(image, dilated(mask, RIM * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return ground and blotches (neutral), a bright disc, and the letter upside down."""
        mask = edited.mask
        checked(image, THING)
        return (
            Placebo(self.ground, f"a letter of {self.ground} colour", closed(image, mask)),
            Placebo(
                "blotches",
                "soft light and dark blotches around the place",
                blotches(image, edited, 0.08 * min(mask.shape), rng),
            ),
            PaintedLater(
                "disc",
                "a disc as bright in its place",
                lambda: _disc(image, edited),
                "any bright mark",
            ),
            PaintedLater(
                "upside_down",
                "the letter upside down",
                lambda: _upside_down(image, edited) if mask.any() else image.copy(),
                "any bright letter",
            ),
        )


def _marks(light: NDArray[np.uint8]) -> tuple[list[int], NDArray[np.int32]]:
    """Return the numbers of the marks that may be letters, and the number of each pixel (h, w)."""
    window = np.ones((min(WINDOW, 2 * min(light.shape) - 1) | 1,) * 2, np.uint8)
    marked = cv2.morphologyEx(light, cv2.MORPH_TOPHAT, window)
    binary = (marked >= MIN_CONTRAST).astype(np.uint8)
    count, label, stats, middle = components(binary)
    boxes = stats[1:count].astype(np.float64)
    if not len(boxes):
        return [], np.asarray(label, np.int32)
    across, down = boxes[:, 2], boxes[:, 3]
    height, width = light.shape
    x, y = (middle[1:count] + 0.5).T / np.array([[width], [height]]) * 2 - 1
    fits = (down >= HEIGHTS[0]) & (down <= HEIGHTS[1])
    fits &= (across >= SHAPES[0] * down) & (across <= SHAPES[1] * down)
    fits &= np.maximum(np.abs(x), np.abs(y)) >= OUTER
    alone = [i for i in np.flatnonzero(fits) if _alone(int(i), boxes, fits)]
    return [int(i) + 1 for i in alone], np.asarray(label, np.int32)


def _alone(i: int, boxes: NDArray[np.float64], fits: NDArray[np.bool_]) -> bool:
    """Tell whether no second mark of about its height stands beside a mark."""
    left, top, across, down, _ = boxes[i]
    gap = np.maximum(boxes[:, 0] - left - across, left - boxes[:, 0] - boxes[:, 2])
    level = np.abs(boxes[:, 1] + boxes[:, 3] / 2 - top - down / 2) < 0.5 * down
    near = fits & level & (gap < ALONE * down)
    near[i] = False
    return not near.any()


def _likeness(mark: Mask) -> float:
    """Return the correlation of a mark (h, w) with the letter that it is most like."""
    ys, xs = np.nonzero(mark)
    shape = _fitted(mark[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].astype(np.float32))
    return float((_letters() @ _normalised(shape)).max())


def _fitted(shape: Layer) -> Layer:
    """Return a shape at the size of the grid; its proportions do not count."""
    return np.asarray(cv2.resize(shape, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float32)


def _normalised(shape: Layer) -> NDArray[np.float32]:
    values = shape.ravel() - shape.mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-6), np.float32)


@lru_cache(maxsize=1)
def _letters() -> NDArray[np.float32]:
    """Return every letter in every font and weight, and mirrored: (letters, GRID * GRID)."""
    drawn = [_drawn(c, font, w) for c in LETTERS for font in FONTS for w in STROKES]
    return np.stack([_normalised(_fitted(each)) for d in drawn for each in (d, d[:, ::-1])])


def _drawn(letter: str, font: int, stroke: int) -> Layer:
    """Return a letter (h, w), 0 to 1, without a margin."""
    page = np.zeros((96, 96), np.uint8)
    cv2.putText(page, letter, (24, 72), font, 2.0, 255, stroke, cv2.LINE_AA)
    ys, xs = np.nonzero(page)
    cut = page[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    return np.asarray(cut.astype(np.float32) / 255, np.float32)


def _letter(height: int, width: int, rng: np.random.Generator) -> Layer:
    """Return the coverage (h, w) of a letter near one of the upper corners."""
    side = min(height, width)
    drawn = _drawn(LETTERS[rng.integers(2)], FONTS[rng.integers(2)], int(rng.choice(STROKES[1:])))
    down = max(1, round(float(rng.uniform(*SIZES)) * side))
    across = max(1, round(down * drawn.shape[1] / drawn.shape[0]))
    small = cv2.resize(drawn, (across, down), interpolation=cv2.INTER_AREA)
    top, inset = (max(0, round(float(n) * side)) for n in rng.uniform(0.04, 0.1, 2))
    left = inset if rng.random() < 0.5 else max(0, width - inset - across)
    coverage = np.zeros((height, width), np.float32)
    place = coverage[top : top + down, left : left + across]
    place[:] = small[: place.shape[0], : place.shape[1]]
    return coverage


def _disc(image: RGB, edited: Edited) -> RGB:
    """Return a disc of the colour and area of an edit, in the middle of its place."""
    mask = edited.mask
    if not mask.any():
        return image.copy()
    ys, xs = np.nonzero(mask)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    away = np.hypot(y - ys.mean(), x - xs.mean())
    weight = np.clip(np.sqrt(mask.sum() / np.pi) + 0.5 - away, 0, 1).astype(np.float32)
    tone = np.median(edited.image[mask], 0)
    return blended(image, (float(tone[0]), float(tone[1]), float(tone[2])), weight)


def _upside_down(image: RGB, edited: Edited) -> RGB:
    """Return the picture with an edit turned over within its box."""
    ys, xs = np.nonzero(edited.mask)
    box = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
    change = edited.image[box].astype(np.float32) - image[box]
    out = image.copy()
    out[box] = np.clip(image[box] + change[::-1] + 0.5, 0, 255).astype(np.uint8)
    return out
