"""What a discovered artifact is called: as a reviewer named it, or by what it resembles."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts import held
from melaudit.artifacts.discovered import Source, resized
from melaudit.artifacts.interface import RGB, Artifact, Mask, Phrases
from melaudit.artifacts.picture import dilated
from melaudit.audit.discovery.directions import PROPERTIES
from melaudit.audit.groups.feedback import NOTHING
from melaudit.detectors.measures import properties
from melaudit.wording.sentences import percent

MIN_ALIKE = 0.5
"""Share of a part's places that a finder must mark before the part is named by it: one half."""
MIN_LIFT = 2.0
"""Share of the pictures of a look in which a finder sees it, over that of others. Chosen, not
measured."""
MIN_ODDS = 4.0
"""Odds that a finder marks a place of a part, over those of the rest of the picture or of pictures
that lack the part, before the part is named by it: what marks anything holds all. A ring goes on
beyond any part of it. Chosen, not measured."""
MIN_NAMED = 3
"""Images of a part that a reviewer must have given a name. Chosen, not measured."""
NEAR = 0.03
"""Distance within which a place counts as marked, as a share of the longer side: half a cell of the
fine visual words."""

AROUND = "around the middle"
"""Where a look is measured and changed."""
MIN_NAMED_PROPERTY = 1 / 3
"""Difference of a property, over the largest one, from which a look is about it, too. Chosen, not
measured."""


@dataclass(frozen=True)
class Name:
    """What a discovered artifact is called."""

    id: str
    """Stable as far as its name is: "discovered_like_ruler"."""
    title: str
    phrases: Phrases
    said: str
    """A sentence on where the name comes from."""
    known: bool
    """Whether it tells what it is: by a finder, or by a reviewer."""


def name(
    sources: Sequence[Source],
    lacking: Sequence[RGB],
    images: Iterable[str],
    artifacts: Sequence[Artifact],
    reviews: Mapping[str, str],
    taken: Sequence[str],
) -> Name:
    """Return a name for a part of which pictures and places are given.

    lacking: pictures that lack it; images: all that show it; reviews: image -> what a reviewer saw
    there; taken: ids that others have.
    """
    given = reviewed(images, reviews)
    if given:
        phrases = _part(f"what was named {given!r}", given)
        return _numbered(
            _slug(given), f"Discovered: {given}", phrases, _by_reviewer(given), taken, known=True
        )
    alike = likeness(sources, lacking, artifacts)
    if alike is not None:
        artifact, share = alike
        known = artifact.phrases
        said = f"It is like {known.things}: their finder marks {percent(share)} of its places."
        phrases = _part(f"something like {known.shows}", f"parts like {known.things}")
        title = f"Discovered: like {known.things}"
        return _numbered(f"like_{artifact.id}", title, phrases, said, taken, known=True)
    number = 1 + sum(re.fullmatch(r"discovered_\d+", each) is not None for each in taken)
    said = "It is like nothing that has a finder: look at it, and name it in suspicious.csv."
    phrases = _part(f"unnamed part {number}", f"unnamed part {number}")
    return _numbered(
        str(number), f"Discovered: unnamed part {number}", phrases, said, taken, known=False
    )


def _part(shows: str, things: str) -> Phrases:
    return Phrases("part", "with it", "other", shows, things, "at its place")


def name_of_look(
    differs: NDArray[np.float64],
    pictures: tuple[Sequence[RGB], Sequence[RGB]],
    images: Iterable[str],
    artifacts: Sequence[Artifact],
    reviews: Mapping[str, str],
    taken: Sequence[str],
) -> Name:
    """Return a name for a look of whole pictures.

    differs: (properties,) how far those that have it lie from others; pictures: some that have it,
    and some that lack it; images, reviews and taken as for `name`.
    """
    given, alike = reviewed(images, reviews), finder_of_look(*pictures, artifacts)
    if given:
        look = f"the look {given!r}"
        phrases = Phrases("look", "with it", "other", look, look, made=f"given {look}")
        return _numbered(
            _slug(given), f"Discovered: {given}", phrases, _by_reviewer(given), taken, known=True
        )
    words = looks_like(differs)
    phrases = Phrases(
        "look",
        "with it",
        "other",
        f"a {words} look {AROUND}",
        f"pictures that are {words} {AROUND}",
        made=f"made {words} {AROUND}",
    )
    title = f"Discovered: {words} pictures"
    if alike is not None:
        artifact, share, lacking = alike
        said = (
            f"It is like {artifact.phrases.things}: their finder sees {percent(share)} of the "
            f"pictures it was taken from, and {percent(lacking)} of those that lack it."
        )
        return _numbered(f"like_{artifact.id}", title, phrases, said, taken, known=True)
    said = "No finder knows it: say what it is, and name it in suspicious.csv."
    return _numbered(_slug(words.replace(" and ", " ")), title, phrases, said, taken, known=False)


def named_properties(differs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of `PROPERTIES` a look is about: those that differ nearly as much as any."""
    far: NDArray[np.bool_] = np.abs(differs) >= MIN_NAMED_PROPERTY * np.abs(differs).max()
    return far


def looks_like(differs: NDArray[np.float64]) -> str:
    """Return what pictures are that differ so in `PROPERTIES`: "bluer and darker"."""
    known = {each.id: each for each in properties.PROPERTIES}
    words = [
        known[identity].more if differs[k] > 0 else known[identity].less
        for k, identity in enumerate(PROPERTIES)
        if named_properties(differs)[k]
    ]
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def finder_of_look(
    having: Sequence[RGB], lacking: Sequence[RGB], artifacts: Sequence[Artifact]
) -> tuple[Artifact, float, float] | None:
    """Return the artifact of whole pictures that is found in most that have a look and few others.

    With the shares in which it is found: of those that have the look, and of those that lack it.
    """
    best: tuple[Artifact, float, float] | None = None
    for artifact in artifacts:
        if not artifact.whole_picture:
            continue
        share, rest = (
            sum(held.find(artifact, image).present for image in some) / max(1, len(some))
            for some in (having, lacking)
        )
        found = share >= MIN_ALIKE and share >= MIN_LIFT * rest
        if found and (best is None or share - rest > best[1] - best[2]):
            best = artifact, share, rest
    return best


def reviewed(images: Iterable[str], reviews: Mapping[str, str]) -> str:
    """Return the name that most reviewed images of a part were given; "" for none."""
    said = [reviews[image] for image in images if reviews.get(image)]
    names = Counter(each for each in said if each not in NOTHING)
    if not names:
        return ""
    best, count = names.most_common(1)[0]
    return best if count >= MIN_NAMED and 2 * count >= len(said) else ""


def likeness(
    sources: Sequence[Source], lacking: Sequence[RGB], artifacts: Sequence[Artifact]
) -> tuple[Artifact, float] | None:
    """Return the artifact whose finder marks most of a part, and the share that it marks.

    It must mark more of it than of the rest of these pictures, or than of the same places of
    pictures that lack the part.
    """
    best: tuple[Artifact, float] | None = None
    for artifact in artifacts:
        if artifact.whole_picture:
            continue
        inside = beside = 0.0
        for source in sources:
            near = _marked(artifact, source.image)
            inside += float(near[source.mask].mean())
            beside += float(near[~source.mask].mean()) if not source.mask.all() else 0.0
        share = inside / len(sources)
        if share < MIN_ALIKE or (best is not None and share <= best[1]):
            continue
        if _more(share, beside / len(sources)) or _more(
            share, _marked_where_it_lacks(artifact, sources, lacking)
        ):
            best = artifact, share
    return best


def _more(share: float, other: float) -> bool:
    return share * (1 - other) >= MIN_ODDS * other * (1 - share)


def _marked_where_it_lacks(
    artifact: Artifact, sources: Sequence[Source], lacking: Sequence[RGB]
) -> float:
    """Return which share a finder marks of a part's places in pictures that lack it; 1 for none."""
    found = []
    for source, picture in zip(itertools.cycle(sources), lacking, strict=False):
        near = _marked(artifact, picture)
        found.append(float(near[resized(source.mask, near.shape)].mean()))
    return float(np.nanmean(found)) if found else 1.0


def _marked(artifact: Artifact, image: RGB) -> Mask:
    """Return where a finder marks a picture (h, w), and near."""
    found = held.find(artifact, image)
    if not (found.present and found.mask.any()):
        return np.zeros(image.shape[:2], np.bool_)
    return dilated(found.mask, NEAR * max(found.mask.shape))


def _numbered(
    suffix: str, title: str, phrases: Phrases, said: str, taken: Sequence[str], known: bool
) -> Name:
    """Return a name whose id and words no other has."""
    own = f"discovered_{suffix}"
    same = sum(each == own or each.startswith(f"{own}.") for each in taken)
    if not same:
        return Name(own, title, phrases, said, known)
    number = f"({same + 1})"
    words = replace(
        phrases,
        shows=f"{phrases.shows} {number}",
        things=f"{phrases.things} {number}",
        made=phrases.made and f"{phrases.made} {number}",
    )
    return Name(f"{own}.{same + 1}", f"{title} ({same + 1})", words, said, known)


def _by_reviewer(given: str) -> str:
    return f"A reviewer named it {given!r}."


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_") or "named"
