"""A look of whole pictures that nobody named: light, colour and detail that one class has more of.

It is made during an audit from the audit's own images, as a discovered part is (`discovered`). How
it is found: by light, colour and sharpness of what lies around the middle (`see`). How it is put
in: what lies around the middle of an image is given the look of one that has it (`painting.look`).
The middle stays as it is: how light or red the object there is, a model should see. How it is taken
out: it is given the mean look of images that lack it. Its placebos give it the look of an image
without it, once of the class that shows it and once of others. The look as far the other way says
whether its direction matters, and an uneven light that changes as much whether the look does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.look import Look, given_look, look_of, mean_look, mirrored
from melaudit.artifacts.painting.whole_picture import uneven_light_placebo, whole_edit, whole_found
from melaudit.artifacts.picture import Layer, blended, checked, checked_dose, checked_mask
from melaudit.artifacts.search.photometry import field_and_zone

THING = "a look that the audit found"
"""What error messages say is looked for."""

HALF = float(np.sqrt(0.5 / np.pi))
"""Radius of the ellipse in the middle that covers half of a picture, as a share of its sides."""
FADE = 0.1
"""Width over which a look fades out within that ellipse, as a share of the sides. Chosen: a round
figure, not measured."""

Amount = Callable[[RGB], float]
"""amount(image (h, w, 3)) -> how much of the look it has, 1 being the most that others have."""


@dataclass(frozen=True)
class Looks:
    """The looks that a discovered one is put in and taken out with."""

    donors: tuple[Look, ...]
    """Of images that have it."""
    alike: tuple[Look, ...]
    """Of images decided as the class that has it, which lack it; there may be none."""
    others: tuple[Look, ...]
    """Of images decided otherwise, which lack it."""
    predicted: str
    """The class that has it."""


@dataclass(frozen=True)
class Given(Edited):
    """A picture that was given a look, and how."""

    look: Look
    dose: float


class DiscoveredLook:
    """A look that an audit found in its own images."""

    whole_picture = True
    exchanged = True
    threshold = 0.5
    doses = "how far the picture is moved to the look"

    def __init__(
        self,
        identity: str,
        title: str,
        phrases: Phrases,
        looks: Looks,
        amount: Amount,
        of: Sequence[bool] = (True,) * 4,
        named: str = "",
    ) -> None:
        """Make one of looks; of: whether L*, a*, b* and detail are what it is about.

        Nothing else of a picture is changed, so that what is claimed is what was done. named: a
        sentence on what it is called, and why.
        """
        self.remedy = (
            f"{named} See how images of this class were taken: with which device, lamp, white "
            "balance or compression. Bring light, colour and sharpness of every image to one "
            "standard before training and in use, or vary them while training; then audit again."
        )
        self.id, self.title, self.phrases = identity, title, phrases
        self.looks, self.amount, self.of = looks, amount, tuple(of)
        self.towards = looks.predicted
        self.usual = mean_look([*(looks.alike or looks.others)])

    def find(self, image: RGB) -> Found:
        """Look for the look in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        amount = self.amount(checked(image, THING))
        return whole_found(image, amount / (1 + amount), np.nextafter(self.threshold, 1))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Give what lies around the middle a donor's look; the dose is how far it is moved."""
        checked(image, THING)
        look = self.looks.donors[int(rng.integers(len(self.looks.donors)))]
        edited = whole_edit(image, self._given(image, look, checked_dose(dose)))
        return Given(edited.image, edited.mask, look, dose)

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Give what lies around the middle the mean look of images that lack it.

        They are decided as the class that has it, where there are such images. `mask` is only
        checked.
        """
        checked_mask(mask, checked(image, THING))
        if not mask.any():
            return Edited(image.copy(), mask.copy())
        return whole_edit(image, self._given(image, self.usual))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return looks without it, an uneven light, and it the other way."""
        if not isinstance(edited, Given):
            raise ValueError("pass what `add` of this artifact returned")
        looks = self.looks

        def one_of(some: Sequence[Look]) -> RGB:
            look = some[int(rng.integers(len(some)))]
            return self._given(image, look, edited.dose)

        made = []
        if looks.alike:
            of = f"light, colour and detail of an image predicted {looks.predicted} that lacks it"
            made.append(Placebo("same_class", of, one_of(looks.alike)))
        of = f"light, colour and detail of an image not predicted {looks.predicted}"
        made.append(Placebo("other_class", of, one_of(looks.others)))
        uneven = uneven_light_placebo(image, edited, rng)
        made.append(replace(uneven, look_alike="any change of light"))
        opposite = mirrored(look_of(image, around(image)), edited.look)
        cue = "any change of light, colour or detail around the middle"
        moved = self._given(image, opposite, edited.dose)
        made.append(Placebo("opposite", "a look as far the other way", moved, cue))
        return made

    def _given(self, image: RGB, look: Look, dose: float = 1.0) -> RGB:
        """Return the image with another look around its middle."""
        given = given_look(image, around(image), look, dose, self.of)
        return blended(image, given.astype(np.float32), beside_middle(*image.shape[:2]))


def beside_middle(height: int, width: int) -> Layer:
    """Return weights (height, width), 1 outside the ellipse that covers half of a picture.

    They fade to 0 within it.
    """
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5)
    weights: Layer = np.clip((radius - HALF) / FADE + 1, 0, 1).astype(np.float32)
    return weights


def around(image: RGB) -> Mask:
    """Return where the look of an image (h, w, 3) is measured: (h, w), outside the middle."""
    return field_and_zone(image)[1]
