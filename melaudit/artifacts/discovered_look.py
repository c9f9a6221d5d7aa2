"""A look of whole pictures that nobody named: light, colour and detail that one class has more of.

It is made during an audit from the audit's own images, as a discovered part is (`discovered`). How
it is found: by light, colour and sharpness of what lies around the middle (`see`). How it is put
in: an image is given the look of one that has it (`painting.look`). How it is taken out: an image
is given the mean look of images that lack it. Its placebos give it the look of an image that lacks
it, once of the class that shows it and once of others, and an uneven light that changes as much.
The look as far the other way says whether its direction matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.look import Look, given_look, look_of, mean_look, mirrored
from melaudit.artifacts.painting.whole_picture import uneven_light_placebo, whole_edit, whole_found
from melaudit.artifacts.picture import checked, checked_dose, checked_mask
from melaudit.artifacts.search.photometry import field_and_zone

THING = "a look that the audit found"
"""What error messages say is looked for."""

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
    remedy = (
        "See how images of this class were taken: with which device, lamp, white balance or "
        "compression. Bring light, colour and sharpness of every image to one standard before "
        "training and in use, or vary them while training; then audit again."
    )

    def __init__(
        self, identity: str, title: str, phrases: Phrases, looks: Looks, amount: Amount
    ) -> None:
        self.id, self.title, self.phrases = identity, title, phrases
        self.looks, self.amount = looks, amount
        self.usual = mean_look([*(looks.alike or looks.others)])

    def find(self, image: RGB) -> Found:
        """Look for the look in an RGB image (h, w, 3) of any size.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        amount = self.amount(checked(image, THING))
        return whole_found(image, amount / (1 + amount), np.nextafter(self.threshold, 1))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Give the picture the look of a donor; the dose is how far it is moved there."""
        checked(image, THING)
        look = self.looks.donors[int(rng.integers(len(self.looks.donors)))]
        edited = whole_edit(image, given_look(image, around(image), look, checked_dose(dose)))
        return Given(edited.image, edited.mask, look, dose)

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Give the picture the mean look of images that lack it; `mask` is only checked.

        They are decided as the class that has it, where there are such images.
        """
        checked_mask(mask, checked(image, THING))
        if not mask.any():
            return Edited(image.copy(), mask.copy())
        return whole_edit(image, given_look(image, around(image), self.usual))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return looks of images that lack it, an uneven light, and the look the other way."""
        if not isinstance(edited, Given):
            raise ValueError("pass what `add` of this artifact returned")
        looks, zone = self.looks, around(image)

        def one_of(some: Sequence[Look]) -> RGB:
            look = some[int(rng.integers(len(some)))]
            return given_look(image, zone, look, edited.dose)

        made = []
        if looks.alike:
            of = f"light, colour and detail of an image predicted {looks.predicted} that lacks it"
            made.append(Placebo("same_class", of, one_of(looks.alike)))
        of = f"light, colour and detail of an image not predicted {looks.predicted}"
        made.append(Placebo("other_class", of, one_of(looks.others)))
        made.append(uneven_light_placebo(image, edited, rng))
        opposite = mirrored(look_of(image, zone), edited.look)
        cue = "any change of light, colour or detail of the whole picture"
        moved = given_look(image, zone, opposite, edited.dose)
        made.append(Placebo("opposite", "a look as far the other way", moved, cue))
        return made


def around(image: RGB) -> Mask:
    """Return where the look of an image (h, w, 3) is measured: (h, w), outside the middle."""
    return field_and_zone(image)[1]
