"""An artifact that nobody drew: a part of pictures that one class shows and others hardly do.

It is made during an audit from the audit's own images. How it is found: the model's own early
layers tell where the part is (`see`). How it is put in: the region of an image that shows it, a
donor, is put into the same place of an image that lacks it. How it is taken out: the same place of
an image of the same class that lacks it is put over it. Its placebos put in the same region of an
image that lacks it, once of the donor's class and once of another: what skin, light and seams do
without the part. The donor's part in its mirrored place says whether the place matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.transplant import transplanted
from melaudit.artifacts.picture import (
    changed,
    checked,
    checked_dose,
    checked_mask,
    dilated,
    reduced,
)

THING = "a part that the audit found"
"""What error messages say is looked for."""
MARGIN, GAP = 0.01, 0.06
"""Radius by which a mask is dilated before it is edited, and that by which its gaps are closed, as
shares of the longer side: masks are made of cells of a sixteenth, of which some may be missed."""
RIM = 0.03
"""Width of the surroundings by whose colour a picture is chosen to put over a part, as a share of
the longer side. Chosen: a round figure, not measured."""
MATCHED = 64
"""Longer side of the copies on which surroundings are compared, in pixels."""
SAME_PLACE = 0.5
"""Share of a part's place that its mirrored place covers, from which both are one place: one half.
"""

See = Callable[[RGB], tuple[float, Mask]]
"""see(image (h, w, 3)) -> how much of the part is there, 1 being the most that others show, and
where (h, w)."""


@dataclass(frozen=True)
class Source:
    """A picture that something is taken from, and the place of what is taken."""

    image: RGB
    mask: Mask
    """(h, w), of the image's own size."""


@dataclass(frozen=True)
class Transplanted(Edited):
    """A picture into which a donor's part was put, and how."""

    region: Mask
    """(h, w) the place that was filled."""
    donor: RGB
    dose: float


@dataclass(frozen=True)
class Pool:
    """The images that a discovered artifact is put in and taken out with."""

    donors: tuple[Source, ...]
    """Images that show it."""
    alike: tuple[RGB, ...]
    """Images decided as the class that shows it, which do not show it."""
    others: tuple[RGB, ...]
    """Images decided otherwise, which do not show it."""
    predicted: str
    """The class that shows it."""


class Discovered:
    """A part that an audit found in its own images."""

    whole_picture = False
    threshold = 0.5
    doses = "opacity of the part"

    def __init__(
        self, identity: str, title: str, phrases: Phrases, pool: Pool, see: See, named: str = ""
    ) -> None:
        """Make one of a pool of images; named: a sentence on what it is called, and why."""
        self.id, self.title, self.phrases = identity, title, phrases
        self.pool, self.see, self.towards = pool, see, pool.predicted
        self.remedy = (
            f"Look at the part that is cut out. {named} If it does not belong to the object, "
            "train on images of every class with it, or without it, and audit again."
        )

    def find(self, image: RGB) -> Found:
        """Look for the part in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        amount, mask = self.see(checked(image, THING))
        score = amount / (1 + amount)
        present = amount > 1 and bool(mask.any())
        return Found(score, present, mask if present else np.zeros_like(mask))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put the part of a donor into the same place; the dose is its opacity."""
        shape = checked(image, THING).shape[:2]
        checked_dose(dose)
        donor = self.pool.donors[int(rng.integers(len(self.pool.donors)))]
        region = whole(resized(donor.mask, shape))
        after = transplanted(image, donor.image, region, dose)
        return Transplanted(after, changed(image, after), region, donor.image, dose)

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Put the same place of an image of the class that lacks the part over it.

        Of these images, the one whose surroundings of the place are nearest in colour is taken.
        """
        checked_mask(mask, checked(image, THING))
        if not mask.any():
            return Edited(image.copy(), mask.copy())
        region = whole(mask)
        after = transplanted(image, nearest(image, region, self.pool.alike), region)
        return Edited(after, changed(image, after))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return the same place without the part, of both sides, and the part in another place."""
        if not isinstance(edited, Transplanted):
            raise ValueError("pass what `add` of this artifact returned")
        pool, region = self.pool, edited.region
        of = f"the same place of an image predicted {pool.predicted} that lacks it"
        made = [Placebo("same_class", of, self._instead(image, edited, pool.alike, rng))]
        if pool.others:
            of = f"the same place of an image not predicted {pool.predicted}"
            instead = self._instead(image, edited, pool.others, rng)
            made.append(Placebo("other_class", of, instead))
        mirrored = np.ascontiguousarray(region[:, ::-1])
        if (mirrored & region).sum() < SAME_PLACE * region.sum():
            turned = edited.donor[:, ::-1]
            cue = f"{self.phrases.things} in any place"
            made.append(
                PaintedLater(
                    "mirrored",
                    "the part in its mirrored place",
                    lambda: transplanted(image, turned, mirrored, edited.dose),
                    cue,
                )
            )
        return made

    def _instead(
        self, image: RGB, edited: Transplanted, pictures: Sequence[RGB], rng: np.random.Generator
    ) -> RGB:
        """Return the image with the same place of one of these pictures in it."""
        picture = pictures[int(rng.integers(len(pictures)))]
        return transplanted(image, picture, edited.region, edited.dose)


def whole(mask: Mask) -> Mask:
    """Return a mask (h, w) with its gaps closed, and a little wider."""
    radius = max(1, round(GAP * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    return dilated(np.asarray(closed) > 0, MARGIN * max(mask.shape))


def nearest(image: RGB, region: Mask, pictures: Sequence[RGB]) -> RGB:
    """Return the picture that is most like an image (h, w, 3) around a region (h, w) of it.

    By the mean absolute difference of colours along the rim; the first one where there is no rim.
    """
    around = dilated(region, RIM * max(region.shape)) & ~region
    small = reduced(image, MATCHED)
    rim = resized(around, small.shape[:2])
    if not rim.any():
        return pictures[0]
    own = small[rim].astype(np.float32)
    size = small.shape[1], small.shape[0]
    far = [
        float(np.abs(np.asarray(cv2.resize(each, size), np.float32)[rim] - own).mean())
        for each in (reduced(picture, MATCHED) for picture in pictures)
    ]
    return pictures[int(np.argmin(far))]


def resized(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Return a mask at another size (h, w)."""
    size = shape[1], shape[0]
    moved = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
    out: Mask = np.asarray(moved) > 127
    return out
