"""The ticks of a millimetre scale at the edge of the field.

How they are found: search/ruler_ticks.py. How they are drawn: as in dermatoscopes, short dark
strokes in even steps along a side or across a corner, every fifth one longer; the step drifts a
little, as through a lens.
Against human labels (227 images of ISIC 2018 at 180 pixels, the half that nothing was chosen on)
the finder's AUC is .88 [.76, .94]; at the threshold its sensitivity is 63 % and its false alarm
rate 4 %. That ticks on a base line are seen came after looking at scales cut out of photographs of
HAM10000, so its figures there are a little too good.
Reference: Narla et al. 2018, "Automated classification of skin lesions: from pixels to practice",
on a model that had learned that pictures with a ruler show melanoma.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.canvas import Canvas, Points, bar
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.stamps import Stamp, from_images, stamped
from melaudit.artifacts.painting.thin_placebos import blotches, scattered, spread
from melaudit.artifacts.picture import (
    blended,
    checked,
    checked_dose,
    checked_mask,
    dilated,
    edit,
    enlarged,
)
from melaudit.artifacts.search.row_completion import completed
from melaudit.artifacts.search.ruler_ticks import ticks

THING = "a ruler"
"""What error messages say is looked for."""
TYPICAL = 0.6
"""Parallel neighbours beyond chance, plus half the surprise, at which the score is 0.5. Chosen:
95 % of the pictures without a ruler in the tuning half of the labelled images have less
(benchmarks/artifacts.py)."""
PITCH, TICK = (0.035, 0.085), (0.55, 1.1)
"""Step as a share of the shorter side, and length of a tick in steps. Chosen: round figures, not
measured, as are the next four."""
LONG_TICK, EVERY = 1.6, 5
"""How many times longer every fifth tick is."""
THICKNESS = (0.004, 0.0075)
"""Width of a tick, as a share of the shorter side."""
INSET = (0.66, 0.86)
"""Where the scale lies between the middle (0) and the edge (1) of the picture."""
COUNT = (7, 22)
"""How many ticks are drawn."""
MARGIN = 0.012
"""Radius by which the mask is dilated before removal, as a share of the longer side."""


@dataclass(frozen=True)
class _Scale:
    """A scale, in pixels of the picture, x before y."""

    origin: Points
    """(2,) the middle of the scale."""
    along: Points
    """(2,) unit vector along the scale."""
    outward: Points
    """(2,) unit vector of the ticks."""
    steps: NDArray[np.float64]
    """(n,) positions of the ticks along the scale."""
    lengths: NDArray[np.float64]
    """(n,)."""
    thickness: float


class Ruler:
    """A ruler or the scale of a dermatoscope.

    `stamps` are scales lifted from pictures. `add` puts one of them in, or draws one if there are
    none.
    """

    id = "ruler"
    title = "Ruler or scale"
    phrases: Phrases = Phrases(
        "ruler", "with a ruler", "ruler-free", "the ticks of a ruler", "rulers", "near the edge"
    )
    remedy = (
        "Crop the scale off, or give images of every class the same scale while training; a ruler "
        "is often laid on what already looks suspicious."
    )
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the scale"
    aliases = ("rulers",)

    def __init__(self, stamps: tuple[Stamp, ...] = ()) -> None:
        self.stamps = stamps

    def like(self, images: Iterable[RGB]) -> Ruler:
        """Return a ruler that adds the scales of these images; itself if none is found."""
        return from_images(self, self._showing, images)

    def _showing(self, stamps: tuple[Stamp, ...]) -> Ruler:
        own = copy.copy(self)  # with the words that a domain gave it
        own.stamps = stamps
        return own

    def find(self, image: RGB) -> Found:
        """Look for a ruler in an RGB image (h, w, 3) of any size; the mask is its ticks.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        height, width = checked(image, THING).shape[:2]
        seen = ticks(image)
        value = seen.excess + 0.5 * seen.surprise
        score = float(1 / (1 + np.exp(np.clip(TYPICAL - value, -50, 50))))
        if score < self.threshold:
            return Found(score, False, np.zeros((height, width), np.bool_))
        return Found(score, True, completed(image, enlarged(seen.mask, height, width)))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Lay a scale along a side or across a corner; the dose is its opacity."""
        height, width = checked(image, THING).shape[:2]
        checked_dose(dose)
        if self.stamps:
            return stamped(image, self.stamps, rng, dose)
        side = min(height, width)
        scale = _scale(height, width, rng)
        canvas = Canvas(height, width)
        starts = scale.origin + scale.steps[:, None] * scale.along
        ends = starts + scale.lengths[:, None] * scale.outward
        for start, end in zip(starts, ends, strict=True):
            canvas.fill(bar(start, end, scale.thickness))
        colour = rng.uniform(8, 40) + rng.uniform(-4, 4, 3)
        opacity = float(rng.uniform(0.7, 0.95))
        coverage = canvas.coverage(max(0.0015 * side, 0.35))
        return edit(image, blended(image, tuple(colour), dose * opacity * coverage))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the skin over the ticks."""
        checked_mask(mask, checked(image, THING))
        return edit(image, closed(image, dilated(mask, MARGIN * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return blotches along the scale (neutral), scattered dashes, and a smudge."""
        side = min(checked(image, THING).shape[:2])
        (own,) = rng.spawn(1)
        return (
            Placebo(
                "blotches",
                "soft light and dark blotches along the scale",
                blotches(image, edited, 0.05 * side, rng),
            ),
            PaintedLater(
                "dashes",
                "dark dashes strewn in any direction",
                lambda: scattered(image, edited, 0.05 * side, 0.04 * side, own),
                "any dark dashes",
            ),
            PaintedLater(
                "smudge",
                "a soft dark smudge",
                lambda: spread(image, edited, np.full(3, 30, np.float32), 0.03 * side),
                "anything dark near the edge",
            ),
        )


def _scale(height: int, width: int, rng: np.random.Generator) -> _Scale:
    """Draw a scale somewhere between the middle and the edge of a picture."""
    side = min(height, width)
    corner = rng.uniform() < 0.5
    turn = np.pi / 2 * int(rng.integers(4)) + (rng.uniform(0.5, 1.07) if corner else 0)
    turn += rng.normal(0, 0.05)
    outward = np.array([np.cos(turn), np.sin(turn)])
    along = np.array([-outward[1], outward[0]])
    edge = float((np.array([width, height]) / 2 / np.maximum(np.abs(outward), 1e-9)).min())
    origin = np.array([width, height]) / 2 + rng.uniform(*INSET) * edge * outward
    pitch = rng.uniform(*PITCH) * side
    count = int(rng.integers(*COUNT))
    places = np.arange(count) - rng.uniform(0.3, 0.7) * (count - 1)
    lengths = pitch * rng.uniform(*TICK) * np.where(np.arange(count) % EVERY, 1, LONG_TICK)
    return _Scale(
        origin=origin,
        along=along,
        outward=outward,
        steps=pitch * (places + rng.normal(0, 0.002) * places**2),
        lengths=lengths,
        thickness=rng.uniform(*THICKNESS) * side,
    )
