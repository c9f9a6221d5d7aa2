"""What an artifact is: something in the picture that is not the lesion.

Every artifact can be found, put into a picture and taken out again, and knows edits that resemble
it without being it. Those placebos decide what may be claimed: an edit that changes as many pixels
by as much, and looks like nothing, tells how far a decision moves anyway; one that shares a
property with the artifact tells which property the model goes by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
"""(h, w, 3), of any size."""
Mask = NDArray[np.bool_]
"""(h, w)."""


@dataclass(frozen=True)
class Phrases:
    """How sentences name an artifact."""

    thing: str
    """"ring"."""
    having: str
    """"ringed"."""
    lacking: str
    """"ring-free"."""
    shows: str
    """What an image that has it shows: "a black ring or dark corners"."""
    things: str
    """Several of them: "black rings"."""


@dataclass(frozen=True)
class Found:
    """What a finder saw in one image."""

    score: float
    """0 to 1, higher is surer."""
    present: bool
    """Whether the score passes the finder's own threshold."""
    mask: Mask
    """(h, w) True on the artifact; all False when none is seen."""


@dataclass(frozen=True)
class Edited:
    """A picture after an edit."""

    image: RGB
    """(h, w, 3), as large as the picture it was made from."""
    mask: Mask
    """(h, w) True where the edit changed something a person could see."""


@dataclass(frozen=True)
class Placebo:
    """An edit that is not the artifact, put where the artifact was put."""

    id: str
    """Stable, snake_case: "skin"."""
    title: str
    """What a reader is told was painted: "a ring of skin colour"."""
    image: RGB
    look_alike: str | None = None
    """None for an edit that should mean nothing. Otherwise what the cue is if this edit does to the
    decision what the artifact does: "any high-contrast frame"."""


class Artifact(Protocol):
    """One kind of artifact.

    `add` draws place, size and colour from `rng`; the same state of it gives the same edit. Images
    are 8-bit RGB of any size and are never changed in place.
    """

    id: str
    """Stable, snake_case."""
    title: str
    phrases: Phrases
    remedy: str
    """What to do against a model that goes by it, in one sentence."""
    overall: bool
    """True for what the whole picture has (a colour cast, blur): there is no place to look at, and
    masks cover the picture."""
    threshold: float
    """Score from which it counts as present."""
    doses: str
    """What `dose` varies, in words: "depth of the ring", "opacity"."""

    def find(self, image: RGB) -> Found:
        """Look for the artifact.

        Raises ValueError when the array is no 8-bit RGB image.
        """
        ...

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Put the artifact into a picture that has none.

        `dose` 1 is as strong as it is usually met, 0 changes nothing, in between it grows; place
        and shape stay the same for the same state of `rng` whatever the dose.
        """
        ...

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Take the artifact that `find` marked out of the picture, as well as pixels allow."""
        ...

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return edits of equal area for `edited = add(image, ...)`.

        At least one has no `look_alike`: it changes the same place by about as much (root mean
        square of the pixel differences), and shows nothing that anybody would name. Thin things
        leave no room for that: there it lies around the place and changes the picture by as much.
        """
        ...


@runtime_checkable
class Ruled(Protocol):
    """An artifact that published counts found by a plain rule of their own."""

    rule_title: str
    """The rule in a few words, heading a column: "all four corners black"."""

    def rule(self, image: RGB) -> bool:
        """Tell whether the rule holds for an RGB image (h, w, 3)."""
        ...


@runtime_checkable
class Kinds(Protocol):
    """An artifact of many kinds, of which a set of images may show just one: casts have hues."""

    def like(self, images: Iterable[RGB]) -> Artifact:
        """Return the artifact of the kind that these images show; itself where they differ.

        What it then puts in is of that kind; its phrases say so in `shows`.
        """
        ...
