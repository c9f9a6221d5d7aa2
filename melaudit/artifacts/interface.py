"""The contract of an artifact: something in the picture that is not the lesion.

An artifact can be found in a picture, added to it and removed from it. It also knows edits that
resemble it without being it. These placebos decide what may be claimed. An edit that changes as
many pixels by as much, and looks like nothing, shows how far a decision moves anyway. An edit that
shares one property with the artifact shows which property the model goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
"""(h, w, 3), of any size."""
Mask = NDArray[np.bool_]
"""(h, w)."""


@dataclass(frozen=True)
class Phrases:
    """What sentences call an artifact."""

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
    place: str = "of the picture"
    """Where it changes a picture, for what any other change there may do: "at the rim"."""
    made: str = ""
    """For a property of the whole picture, what becomes of a picture that is given it: "darkened";
    empty for a thing that is put in."""

    @property
    def put_in(self) -> str:
        """What was done where it was put in: "a ring put in", "the picture darkened"."""
        return f"the picture {self.made}" if self.made else f"{self.shows} put in"

    @property
    def thing_put_in(self) -> str:
        """The same where it was named before: "the ring put in", "the picture darkened"."""
        return f"the picture {self.made}" if self.made else f"the {self.thing} put in"

    @property
    def taken_out(self) -> str:
        """What was done where it was taken out: "the ring taken out"."""
        return f"the {self.thing} taken out"

    def edited(self, sign: int) -> str:
        """Return what an edit did: +1 put it in, -1 took it out."""
        return self.thing_put_in if sign > 0 else self.taken_out


@dataclass(frozen=True)
class Found:
    """The result of a finder for one image."""

    score: float
    """0 to 1; the higher, the surer."""
    present: bool
    """Whether the score reaches the finder's own threshold."""
    mask: Mask
    """(h, w) True on the artifact; all False if none was found."""


@dataclass(frozen=True)
class Edited:
    """A picture after an edit."""

    image: RGB
    """(h, w, 3), of the same size as the original."""
    mask: Mask
    """(h, w) True where the edit changed something that a person could see."""


@dataclass(frozen=True)
class Placebo:
    """An edit that is not the artifact, made where the artifact was added."""

    id: str
    """Stable, snake_case: "skin"."""
    title: str
    """What the reader is told was painted: "a ring of skin colour"."""
    image: RGB
    look_alike: str | None = None
    """None for a neutral edit, which should mean nothing. Otherwise the cue that is at work if this
    edit moves the decision as the artifact does: "any high-contrast frame"."""


class PaintedLater(Placebo):
    """A placebo that is painted when its picture is first asked for.

    Look-alikes are shown only where decisions move, so most need no picture. What `paint` draws
    must not depend on which other placebos are painted: it has a generator of its own
    (`rng.spawn`).
    """

    _paint: Callable[[], RGB]

    def __init__(
        self, id: str, title: str, paint: Callable[[], RGB], look_alike: str | None = None
    ) -> None:
        own = {"id": id, "title": title, "look_alike": look_alike, "_paint": paint}
        for name, value in own.items():  # the class is frozen
            object.__setattr__(self, name, value)

    @cached_property
    def image(self) -> RGB:
        """(h, w, 3), of the same size as the original."""
        return self._paint()


class Artifact(Protocol):
    """One kind of artifact.

    Images are 8-bit RGB of any size and are never changed in place.
    """

    id: str
    """Stable, snake_case."""
    title: str
    phrases: Phrases
    remedy: str
    """One sentence: what to do if the model goes by this artifact."""
    whole_picture: bool
    """True for a property of the whole picture, such as a colour cast or blur. It has no place of
    its own, so its masks cover either the whole picture or nothing."""
    threshold: float
    """The score from which the artifact counts as present."""
    doses: str
    """What `dose` varies: "depth of the ring", "opacity"."""

    def find(self, image: RGB) -> Found:
        """Look for the artifact in an image (h, w, 3).

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        ...

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Add the artifact to an image (h, w, 3) that does not have it.

        Place, size and colour are drawn from `rng`: the same state of `rng` gives the same edit,
        and the same place and shape at every dose. Dose 0 changes nothing; dose 1 is as strong as
        the artifact usually is.

        Raises ValueError if the array is not an 8-bit RGB image, or the dose is outside 0 to 1.
        """
        ...

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Remove the artifact that `find` marked (h, w), as well as pixels allow.

        Raises ValueError if the mask does not fit the image.
        """
        ...

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return the placebos of `edited = add(image, ...)`.

        At least one is neutral (no `look_alike`): it changes the same place by about as much (root
        mean square of the pixel differences) and shows nothing that has a name. Thin artifacts
        leave no room for that; their neutral placebo lies around the place and changes the picture
        as a whole by as much.
        """
        ...


@runtime_checkable
class HasPlainRule(Protocol):
    """An artifact that published studies counted by a plain rule instead of a finder."""

    rule_id: str
    """The name of the rule on the command line: "corners"."""
    rule_title: str
    """The rule in a few words, for the head of a column: "all four corners black"."""
    rule_definition: str
    """The rule with its numbers: "All four 10 x 10 corner blocks below 10"."""

    def rule(self, image: RGB) -> bool:
        """Tell whether the rule holds for an RGB image (h, w, 3)."""
        ...


@runtime_checkable
class Adaptable(Protocol):
    """An artifact that comes in variants, of which a set of images may show only one.

    A colour cast has a hue, a ruler has a make. A model can only have learned the variant it met.
    """

    def like(self, images: Iterable[RGB]) -> Artifact:
        """Return the variant that these images show; itself if they differ or show none.

        `add` then adds that variant, and `phrases.shows` says so.
        """
        ...


@runtime_checkable
class Directed(Protocol):
    """An artifact that is thought to move decisions to one class, which alone shows it.

    It is put into images that are not decided so: the others have nowhere to go.
    """

    towards: str
    """The class."""


class Kind(Artifact, Protocol):
    """One kind of an artifact."""

    kind: str
    """Stable, snake_case: "bluish"."""


@runtime_checkable
class HasKinds(Protocol):
    """An artifact of kinds that may go with opposite classes: a bluish cast, and a pinkish one.

    Each kind is put in and concluded on by itself where enough images show it.
    """

    kinds: Sequence[Kind]
    """Artifacts with the same finder, whose `add` gives that kind and whose phrases name it."""

    def kind_of(self, image: RGB, found: Found) -> int:
        """Return which of `kinds` an image (h, w, 3) shows in which the artifact was found."""
        ...


@runtime_checkable
class Exchangeable(Protocol):
    """A property of the whole picture that can be taken out of a picture.

    Where `exchanged` is True, `remove` changes a picture that lacks it by about as much, so that
    this can be the placebo of taking it out.
    """

    exchanged: bool


@runtime_checkable
class HasAliases(Protocol):
    """An artifact that public annotations know by other names."""

    aliases: tuple[str, ...]
    """Lower case, letters and digits only: "darkcorners"."""
