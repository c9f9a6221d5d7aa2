"""What a discovered artifact is called: as a reviewer named it, or by what it resembles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from melaudit.artifacts import held
from melaudit.artifacts.discovered import Source
from melaudit.artifacts.interface import Artifact, Phrases
from melaudit.artifacts.picture import dilated
from melaudit.audit.groups.feedback import NOTHING
from melaudit.wording.sentences import percent

MIN_ALIKE = 0.5
"""Share of a part's places that a finder must mark before the part is named by it: one half."""
MIN_LIFT = 2.0
"""The same share over that of the whole picture: what covers most of it holds anything. Chosen, not
measured."""
MIN_NAMED = 3
"""Images of a part that a reviewer must have given a name. Chosen, not measured."""
NEAR = 0.03
"""Distance within which a place counts as marked, as a share of the longer side: half a cell of the
fine visual words."""


@dataclass(frozen=True)
class Name:
    """What a discovered artifact is called."""

    id: str
    """Stable as far as its name is: "discovered_like_ruler"."""
    title: str
    phrases: Phrases
    said: str
    """A sentence on where the name comes from."""


def name(
    sources: Sequence[Source],
    images: Iterable[str],
    artifacts: Sequence[Artifact],
    reviews: Mapping[str, str],
    taken: Sequence[str],
) -> Name:
    """Return a name for a part of which pictures and places are given.

    images: all that show it; reviews: image -> what a reviewer saw there; taken: ids that others
    have.
    """
    given = reviewed(images, reviews)
    if given:
        shows = f"what was named {given!r}"
        said = f"A reviewer named it {given!r}."
        return _name(_slug(given), f"Discovered: {given}", shows, given, said, taken)
    alike = likeness(sources, artifacts)
    if alike is not None:
        artifact, share = alike
        phrases = artifact.phrases
        said = f"It is like {phrases.things}: their finder marks {percent(share)} of its places."
        return _name(
            f"like_{artifact.id}",
            f"Discovered: like {phrases.things}",
            f"something like {phrases.shows}",
            f"parts like {phrases.things}",
            said,
            taken,
        )
    number = 1 + sum(re.fullmatch(r"discovered_\d+", each) is not None for each in taken)
    said = "It is like nothing that has a finder: look at it, and name it in suspicious.csv."
    shows = f"a part without a name (no. {number})"
    things = f"parts without a name (no. {number})"
    return _name(str(number), f"Discovered: no. {number}", shows, things, said, taken)


def reviewed(images: Iterable[str], reviews: Mapping[str, str]) -> str:
    """Return the name that most reviewed images of a part were given; "" for none."""
    said = [reviews[image] for image in images if reviews.get(image)]
    names = Counter(each for each in said if each not in NOTHING)
    if not names:
        return ""
    best, count = names.most_common(1)[0]
    return best if count >= MIN_NAMED and 2 * count >= len(said) else ""


def likeness(
    sources: Sequence[Source], artifacts: Sequence[Artifact]
) -> tuple[Artifact, float] | None:
    """Return the artifact whose finder marks most of a part, and the share that it marks."""
    best: tuple[Artifact, float] | None = None
    for artifact in artifacts:
        if artifact.whole_picture:
            continue
        inside = around = 0.0
        for source in sources:
            found = held.find(artifact, source.image)
            if found.present and found.mask.any():
                near = dilated(found.mask, NEAR * max(found.mask.shape))
                inside += float(near[source.mask].mean())
                around += float(near.mean())
        share, area = inside / len(sources), around / len(sources)
        if share >= MIN_ALIKE and share >= MIN_LIFT * area and (best is None or share > best[1]):
            best = artifact, share
    return best


def _name(
    suffix: str, title: str, shows: str, things: str, said: str, taken: Sequence[str]
) -> Name:
    """Return a name whose id no other has."""
    own = f"discovered_{suffix}"
    same = sum(each == own or each.startswith(f"{own}.") for each in taken)
    if same:
        own, title = f"{own}.{same + 1}", f"{title} ({same + 1})"
        shows, things = f"{shows} (no. {same + 1})", f"{things} (no. {same + 1})"
    phrases = Phrases("part", "with it", "other", shows, things, "at its place")
    return Name(own, title, phrases, said)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_") or "named"
