"""Hairs over the lesion or the skin around it.

How they are found stands in hair_lines.py. They are drawn tapering and bent, mostly along one
direction, dark but not black, and a little see-through; and taken out by closing the skin over
them (Lee et al. 1997, "DullRazor: a software approach to hair removal from images").
Against people's labels (227 images of ISIC 2018 at 180 pixels, the half that nothing was chosen
on) the finder's AUC is .80 [.71, .87]; at the threshold it finds 43 % and alarms in 4 %. People
labelled fine hairs, many of which are not to be seen at that size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.canvas import Canvas, Points, ribbon
from melaudit.artifacts.painting.inpainting import closed
from melaudit.artifacts.painting.thin_placebos import blotches, flipped, strewn, widened
from melaudit.artifacts.picture import checked, checked_dose, checked_mask, edit, enlarged, mixed
from melaudit.artifacts.search.hair_lines import TOGETHER, lines, weight

THING = "hairs"
TYPICAL = 6800.0
"""Weight of the three best lines at which the score is a half; 95 % of hairless pictures of the
tuning half of the labelled images have less. See benchmarks/artifacts.py."""
PART = 8.0
"""A line that has this part of the typical weight belongs to the mask."""

COUNT = (4, 22)
THICKNESS = (0.0028, 0.006)
"""Width of a hair at its root, in sides."""
LENGTH = (0.25, 1.1)
COLOURS = ((36, 22, 16), (64, 38, 24), (16, 13, 14), (92, 60, 38))
SHARES = (0.4, 0.3, 0.2, 0.1)
POINTS = 32


class Hair:
    """Hairs in front of the skin."""

    id = "hair"
    title = "Hairs over the skin"
    phrases = Phrases("hair", "hairy", "hair-free", "hairs over the skin", "hairs")
    remedy = (
        "Shave or part the hair before the picture is taken, or give hairy images of every class "
        "while training."
    )
    whole_picture = False
    threshold = 0.5
    doses = "opacity of the hairs"
    aliases = ("hairs",)

    def find(self, image: RGB) -> Found:
        """Look for hairs in an RGB image (h, w, 3) of any size; the mask is the clear ones.

        Raises ValueError when the array is no 8-bit RGB image.
        """
        height, width = checked(image, THING).shape[:2]
        found = lines(image)
        weights = weight(found)
        total = float(np.sort(weights)[-TOGETHER:].sum())
        score = total / (total + TYPICAL)
        if score < self.threshold:
            return Found(score, False, np.zeros((height, width), np.bool_))
        clear = found.chosen(weights >= TYPICAL / PART).mask()
        return Found(score, True, enlarged(clear, height, width))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Lay hairs over a picture; the dose is how opaque they are."""
        height, width = checked(image, THING).shape[:2]
        checked_dose(dose)
        side = min(height, width)
        colour = np.array(COLOURS[rng.choice(len(COLOURS), p=SHARES)]) * rng.uniform(0.8, 1.2)
        opacity = float(rng.uniform(0.85, 0.98))
        grain, thickness = rng.uniform(0, 2 * np.pi), rng.uniform(*THICKNESS)
        canvas = Canvas(height, width)
        for _ in range(int(rng.integers(*COUNT))):
            path, taper = _hair(grain, rng)
            outline = ribbon(path * side + (width / 2, height / 2), thickness * side * taper)
            canvas.fill(outline, float(rng.uniform(0.75, 1.0)))
        cover = canvas.cover(max(0.0012 * side, 0.35))
        return edit(image, mixed(image, tuple(colour), dose * opacity * cover))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Close the skin over the hairs."""
        checked_mask(mask, checked(image, THING))
        if not mask.any():
            return edit(image, image.copy())
        return edit(image, closed(image, widened(mask, 0.006 * max(mask.shape))))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return blotches (neutral), light lines in place of the hairs, straight dark lines."""
        side = min(checked(image, THING).shape[:2])
        straight = strewn(image, edited, 0.5 * side, 0.1 * side, rng)
        return (
            Placebo(
                "blotches",
                "soft light and dark blotches along the hairs",
                blotches(image, edited, 0.08 * side, rng),
            ),
            Placebo("light", "the same lines, lighter", flipped(image, edited), "any thin lines"),
            Placebo("straight", "straight dark lines", straight, "any thin dark lines"),
        )


def _hair(grain: float, rng: np.random.Generator) -> tuple[Points, NDArray[np.float64]]:
    """Return one hair: its path (n, 2) in sides from the middle, and its width (n,) at most 1.

    A cubic Bezier curve whose two inner points lie off the straight line between its ends.
    """
    start = rng.uniform(-0.6, 0.6, 2)
    turn = grain + rng.normal(0, 0.45)
    ahead = np.array([np.cos(turn), np.sin(turn)])
    aside = np.array([-ahead[1], ahead[0]])
    length = rng.uniform(*LENGTH)
    bend = length * (rng.normal(0, 0.13) + rng.normal(0, 0.05, 2))
    end = start + length * ahead
    inner = [start + (end - start) * part / 3 + bend[part - 1] * aside for part in (1, 2)]
    controls = np.stack([start, *inner, end])
    t = np.linspace(0, 1, POINTS)[:, None]
    blend = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    taper = rng.uniform(0.6, 1.0) * (1 - 0.8 * t[:, 0] ** 2)
    return blend @ controls, taper
