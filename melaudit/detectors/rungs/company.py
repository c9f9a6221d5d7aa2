"""Company: two finders that fire on the same images, and which of the two artifacts it is about.

Lettering can look like the ticks of a ruler to a finder, and the rim of a sticker like hair. What
follows from such images then must not be credited to both. Labels tell the two apart where some
images show one without the other: an artifact that goes with a class no longer once the other is
held fixed is only seen with it. Where labels cannot tell, the place can: what lies within the other
is a part of it. Where neither can, the claim is about either of them.

No test is added to a run: what is held against the other here can only make a claim smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Artifact
from melaudit.detectors.claim import evidence_of
from melaudit.detectors.rungs.opportunity import Association, associate
from melaudit.findings import Evidence, Rung
from melaudit.measurements import Array
from melaudit.statistics.estimates import Estimate, odds_ratio_held_fixed
from melaudit.wording.sentences import interval, many, ratio

MIN_TOGETHER = 5
"""Images that show both from which two artifacts are asked about. Chosen, not measured."""
MIN_INSIDE = 0.5
"""Share of an artifact's place within the other's from which it is a part of it. Chosen, not
measured."""
MIN_LIFT = 2.0
"""The same share over that of the whole picture: what covers most of it holds anything. Chosen, not
measured."""
MAX_PLACES = 400
"""Images whose places are compared, at most. Limits the time."""

RowMask = NDArray[np.bool_]


class Seen(Protocol):
    """What finders and people saw in images, beside their labels; `Measurements` are such."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) class index; -1 where unknown."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        ...

    @property
    def labelled(self) -> Mapping[str, NDArray[np.int8]]:
        """Artifact that no finder knows -> (n,) what the user says: 1 shows it."""
        ...

    @property
    def training(self) -> Mapping[str, tuple[NDArray[np.bool_], NDArray[np.int64]]]:
        """Artifact -> whether training images show it, and their labels."""
        ...

    def __getitem__(self, name: str) -> Array:
        """Return "dark_ring.present" (n,); raises KeyError for what was not looked for."""
        ...


class Part(StrEnum):
    """What an artifact is beside another one that the same images show."""

    ITSELF = "itself"
    """What goes with it goes with it whatever the other does."""
    SEEN_WITH = "seen with"
    """The other one explains it."""
    EITHER = "either"
    """Nothing tells the two apart."""


@dataclass(frozen=True)
class Company:
    """Another artifact that images with this one show, too."""

    other: str
    """Its id."""
    others: str
    """Several of it: "rulers"."""
    shows: str
    """What an image that has it shows: "the ticks of a ruler"."""
    present: RowMask
    """(n,) images that show the other."""
    both: int
    """Images that show both."""
    n: int
    """Images that show this one."""
    label: str
    """The class that both go with; empty where they do not go with one."""
    given: Estimate | None
    """Odds ratio of that class given this artifact, the other held fixed; None without a class."""
    part: Part

    def words(self, things: str) -> str:
        """Return a sentence on the two; `things` are several of this artifact."""
        seen = f"{self.both:,} of {many(self.n, 'image')} with {things} show {self.shows}, too"
        if self.given is None:
            return f"{seen}, in the same place: they are seen with {self.others}."
        odds = f"odds ratio {ratio(self.given.value)}, {interval(self.given, ratio)}"
        if self.given.low == 0 and self.given.high == np.inf:
            odds = "no image tells"
        if self.part is Part.SEEN_WITH:
            return (
                f"{seen}: among images alike in that, {things} do not clearly go with {self.label} "
                f"({odds}), so they are seen with {self.others}."
            )
        return (
            f"{seen}: it cannot be told whether {things} or {self.others} go with {self.label} "
            f"(the other held fixed, {odds})."
        )


def company(
    table: Seen,
    artifact: Artifact,
    key: str,
    present: RowMask,
    others: Sequence[Artifact],
) -> tuple[Company, ...]:
    """Return the artifacts that take something from this one, those that explain it first.

    key: names this one, or a kind of it, among the training images; present: (n,) images that show
    it; others: the artifacts that were looked for.
    """
    found = [
        _beside(table, artifact.id, key, present, other)
        for other in _candidates(table, others)
        if other.id != artifact.id
    ]
    taking = [c for c in found if c is not None and c.part is not Part.ITSELF]
    return tuple(sorted(taking, key=lambda c: (c.part is Part.EITHER, -c.both)))


def evidence(beside: Sequence[Company], things: str) -> tuple[Evidence, ...]:
    """Return the odds ratios with the other artifact held fixed; none of them carries a rung."""
    return tuple(
        evidence_of(
            Rung.OPPORTUNITY,
            f"odds ratio of the label, {c.others} held fixed",
            c.given,
            c.n,
            f"{c.label} is as frequent among images with it as among others alike in {c.others}",
            c.words(things),
        )
        for c in beside
        if c.given is not None
    )


def apart(present: RowMask, others: Sequence[Company]) -> RowMask:
    """Return the images (n,) that show an artifact and nothing that explains it."""
    out = present.copy()
    for each in others:
        if each.part is Part.SEEN_WITH:
            out &= ~each.present
    return out


@dataclass(frozen=True)
class _Candidate:
    """Another artifact that this one may be confused with; see `Company`."""

    id: str
    things: str
    shows: str
    present: RowMask


def _candidates(table: Seen, others: Sequence[Artifact]) -> list[_Candidate]:
    """Return every artifact that a finder or the user speaks of."""
    out = []
    for each in others:
        column = _column(table, f"{each.id}.present")
        if column is not None:
            phrases = each.phrases
            out.append(_Candidate(each.id, phrases.things, phrases.shows, column.astype(bool)))
    for name, codes in table.labelled.items():
        out.append(
            _Candidate(f"labelled_artifacts.{name}", name, f"{name} by your labels", codes == 1)
        )
    return out


def _beside(
    table: Seen, artifact: str, key: str, present: RowMask, other: _Candidate
) -> Company | None:
    """Hold an artifact against another one; None where they are not seen together."""
    rows = present & other.present
    one, two, labels = _where_learned(table, key, present, other)
    both = int((one & two).sum())
    # Together more often than their classes explain.
    if both < MIN_TOGETHER or odds_ratio_held_fixed(one, two, labels).low <= 1:
        return None
    own, theirs = (_associated(each, labels, table.classes) for each in (one, two))
    inside, around = _inside(table, artifact, other.id, rows)
    given: Estimate | None = None
    label, part = "", Part.ITSELF
    linked = own is not None and own.strong
    same = own is not None and theirs is not None and own.target == theirs.target
    if linked and same and theirs is not None and theirs.strong:
        label = table.classes[theirs.target]
        known = labels >= 0
        of = labels[known] == theirs.target
        given = odds_ratio_held_fixed(one[known], of, two[known])
        reverse = odds_ratio_held_fixed(two[known], of, one[known])
        part = _part(given.low > 1, reverse.low > 1, inside, around)
    elif not linked and inside and not around and 2 * both >= one.sum():
        part = Part.SEEN_WITH
    return Company(
        other=other.id,
        others=other.things,
        shows=other.shows,
        present=other.present,
        both=both,
        n=int(one.sum()),
        label=label,
        given=given,
        part=part,
    )


def _where_learned(
    table: Seen, key: str, present: RowMask, other: _Candidate
) -> tuple[RowMask, RowMask, NDArray[np.int64]]:
    """Return which images show each of two artifacts, and the labels (m,).

    Of the training images where both were looked for in the same ones, else of the audited ones.
    """
    learned = [table.training.get(name) for name in (key, other.id)]
    if learned[0] is not None and learned[1] is not None:
        (one, labels), (two, others) = learned[0], learned[1]
        if np.array_equal(labels, others):
            return one, two, labels
    return present, other.present, table.labels


def _part(stands: bool, other_stands: bool, inside: bool, around: bool) -> Part:
    """Return what an artifact is beside another one that goes with the same class.

    stands, other_stands: each goes with the class with the other held fixed. inside, around: its
    place lies within the other's, or the other's within its own.
    """
    if stands:
        return Part.ITSELF
    if other_stands:
        return Part.SEEN_WITH
    if inside != around:
        return Part.SEEN_WITH if inside else Part.ITSELF
    return Part.EITHER


def _associated(
    present: RowMask, labels: NDArray[np.int64], classes: tuple[str, ...]
) -> Association | None:
    if not MIN_TOGETHER <= present.sum() <= len(present) - MIN_TOGETHER:
        return None
    return associate(present, labels, classes)


def _inside(table: Seen, first: str, second: str, rows: RowMask) -> tuple[bool, bool]:
    """Tell whether the first lies within the second on these images (n,), and the reverse."""
    chosen = np.flatnonzero(rows)[:MAX_PLACES]
    masks = [_column(table, f"{name}.mask") for name in (first, second)]
    if masks[0] is None or masks[1] is None:
        return False, False
    a, b = (mask[chosen].astype(np.float64) for mask in masks if mask is not None)
    return _mostly_within(a, b), _mostly_within(b, a)


def _mostly_within(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Tell whether masks (m, g, g) lie mostly in the cells that others touch, or next to them."""
    touched = np.pad(second > 0, ((0, 0), (1, 1), (1, 1)))
    height, width = second.shape[1:]
    near = np.any(
        [touched[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0
    )
    total = first.sum((1, 2))
    has = total > 0
    if not has.any():
        return False
    share = float(((first * near).sum((1, 2))[has] / total[has]).mean())
    return share >= MIN_INSIDE and share >= MIN_LIFT * float(near[has].mean())


def _column(table: Seen, name: str) -> Array | None:
    try:
        return table[name]
    except KeyError:  # its detector failed in the pass, or it has no place
        return None
