"""Parts of pictures that one predicted class shows and others hardly do, found in several ways.

By what pictures show: likeness to an example (`groups.likeness`), visual words
(`groups.exclusive`), what is like hardly anything in other images (`groups.strangeness`), and what
the finder of a known artifact marks. By how they are decided: a group of images that the model
decides alike (`groups.strategies`), and the places off the centre where it looks at them more than
at other images. What is in these places is the part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.discovered import See
from melaudit.artifacts.interface import RGB, Mask
from melaudit.audit.discovery.seeing import (
    on_picture,
    places_of,
    seeing,
    seeing_alike,
    seeing_strange,
    share_in_centre,
)
from melaudit.audit.groups.exclusive import (
    MAX_SHARE_OF_OTHERS,
    MIN_OTHERS_TO_TEST,
    Pattern,
    exclusive_patterns,
)
from melaudit.audit.groups.likeness import (
    amounts,
    chosen_patterns,
    likeness,
    likes_of,
    likest,
    places_like,
)
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.strangeness import (
    Strange,
    described_rows,
    strange_in,
    strange_places,
    strangest,
)
from melaudit.audit.groups.strategies import smallest_group, strategies
from melaudit.audit.groups.suspicion import counted_words, pooled_maps
from melaudit.audit.measure.columns import relevance_columns
from melaudit.audit.measure.visual_words import (
    LIKENESS,
    Noted,
    Sight,
    VisualWords,
    Vocabulary,
)
from melaudit.audit.viewer import Viewer
from melaudit.measurements import CHUNK, GRID, Measurements, SomeRows
from melaudit.wording.sentences import percent

HELD = 0.5
"""Share of the relevance that a group has more than others, off the centre, that the places of its
part hold: one half."""
MAX_PLACES = 0.2
"""Share of the picture that these places may cover: beyond it they are no place. Chosen, not
measured."""
MIN_BOUND = 1e-3
"""Share of the relevance that others have at a place, at least: keeps amounts finite."""

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A part that one class shows, and which images show it."""

    predicted: int
    amount: Floats
    """(n,) of it in each image, over the most that others show."""
    places: Callable[[Rows], Bools]
    """Rows (k,) -> where these images show it, (k, side, side)."""
    strength: float
    """How much of the class shows it, and how much more than others."""
    central: float
    """Share of the places like it that lie within the centre, which are left out."""
    measured: str
    """A sentence on where in the pictures it was looked for."""
    seeing: Callable[[Viewer], See]
    fine: bool = False
    """Whether it is seen more finely in a picture than `places` tells."""
    donors: Rows | None = None
    """The images it is taken from; None for those with most of it."""

    @property
    def present(self) -> Bools:
        """(n,) images that show it."""
        present: Bools = self.amount > 1
        return present


def alike_parts(table: Measurements, sight: Sight, half: Bools, most: int) -> list[Part]:
    """Choose parts of every predicted class by likeness, on half of the images (n,), best first.

    most: of each class; of all together twice as many.
    """
    if sight.likeness is None:
        return []
    noted = table[LIKENESS]
    found: list[tuple[int, int, Pattern]] = []
    for index in range(len(table.classes)):
        rows, others = of_class_and_others(table, index, half)
        patterns = chosen_patterns(table, rows, others, smallest_group(len(rows)), False, most)
        found += [(turn, index, pattern) for turn, pattern in enumerate(patterns)]
    found = sorted(found, key=lambda each: (each[0], -each[2].strength))[: 2 * most]
    if not found:
        return []
    chosen: list[Part] = []
    every = likest(noted, likes_of([pattern for *_, pattern in found]))
    for (_, index, pattern), cosines in zip(found, every, strict=True):
        amount = amounts(pattern, cosines)
        central = _central(noted, pattern, np.flatnonzero((amount > 1) & half))
        chosen.append(
            Part(
                index,
                amount,
                partial(_alike_places, noted, pattern),
                pattern.strength,
                central,
                _where(central),
                partial(seeing_alike, how=sight.likeness, pattern=pattern),
            )
        )
    return by_turns(chosen)


def strange_parts(table: Measurements, sight: Sight, half: Bools) -> list[Part]:
    """Choose what is like hardly anything in other images, of every predicted class, best first.

    On half of the images (n,). It may be several things, each on few images.
    """
    if sight.likeness is None:
        return []
    chosen: list[Part] = []
    for index in range(len(table.classes)):
        rows, others = of_class_and_others(table, index, half)
        known = strange_in(table, rows, others, smallest_group(len(rows)), steady=False)
        if known is None:
            continue
        chosen.append(
            Part(
                index,
                amounts(known.pattern, strangest(table, known)),
                partial(_strange_places, table, known),
                known.pattern.strength,
                0.0,
                "It is what stands off the centre, at places to which decisions owe much, and is "
                "like hardly anything in other images; it may be several things.",
                partial(seeing_strange, how=sight.likeness, known=known),
            )
        )
    return by_turns(chosen)


def of_class_and_others(table: Measurements, index: int, half: Bools) -> tuple[Rows, Rows]:
    """Return which of the half (n,) are predicted as a class, and which are of other classes."""
    return (
        np.flatnonzero((table.predictions == index) & half),
        np.flatnonzero(table.of_other_classes(index) & half),
    )


def _strange_places(table: Measurements, known: Strange, rows: Rows) -> Bools:
    return strange_places(table[LIKENESS][rows], described_rows(table, rows), known)


class OfClass(Protocol):
    """What a predicted class shows."""

    @property
    def predicted(self) -> int:
        """The class."""
        ...


Thing = TypeVar("Thing", bound=OfClass)


def strongest(ordered: Sequence[Thing], most: int) -> list[Thing]:
    """Return the first things of each class, in order, at most so many.

    Of all classes together as many as of two: each thing costs time, and there may be many classes.
    """
    kept: list[Thing] = []
    for thing in ordered:
        if sum(each.predicted == thing.predicted for each in kept) < most:
            kept.append(thing)
    return kept[: 2 * most]


def by_turns(parts: Sequence[Part]) -> list[Part]:
    """Return the strongest part of each class, then the second ones, the strongest first.

    Strengths of two classes cannot be compared: relevance and variety differ.
    """
    ordered = sorted(parts, key=lambda part: -part.strength)
    place: dict[int, int] = {}
    turns = []
    for part in ordered:
        turns.append(place.setdefault(part.predicted, 0))
        place[part.predicted] += 1
    return [ordered[k] for k in np.argsort(turns, kind="stable")]


def _central(noted: Noted, pattern: Pattern, rows: Rows) -> float:
    """Return which share of the places that are like a pattern lies in the centre, in some rows."""
    if pattern.like is None:
        raise ValueError("pass a pattern by likeness")
    middle = outside_centre(*noted.shape[1:3]) == 0
    inside = every = 0
    for some in (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)):
        there = likeness(noted[some], pattern.like) > pattern.bound
        inside, every = inside + int(there[:, middle].sum()), every + int(there.sum())
    return inside / max(1, every)


def _alike_places(noted: Noted, pattern: Pattern, rows: Rows) -> Bools:
    return places_like(noted[rows], pattern)


def _where(central: float) -> str:
    return (
        f"{percent(central)} of the places that look like it lie in the central half of the "
        "pictures, where it was not looked for."
    )


def shown_parts(table: Measurements, vocabularies: Sequence[Vocabulary], half: Bools) -> list[Part]:
    """Choose patterns of visual words of every predicted class on half of the images (n,).

    The strongest first.
    """
    counts = counted_words(table, vocabularies)
    chosen: list[Part] = []
    for index in range(len(table.classes)):
        rows, others = of_class_and_others(table, index, half)
        for pattern in exclusive_patterns(
            [each.of(rows) for each in counts],
            [each.of(others) for each in counts],
            vocabularies,
            smallest_group(len(rows)),
            table.seed,
        ):
            if pattern.vocabulary is None:
                continue
            vocabulary = vocabularies[pattern.vocabulary]
            words = table[vocabulary.column]
            shown = counts[pattern.vocabulary].places[:, list(pattern.visual_words)].sum(1)
            amount = shown / max(pattern.bound, 0.5)
            showing = SomeRows(words, np.flatnonzero((amount > 1) & half))
            central = share_in_centre(showing, pattern.visual_words)
            chosen.append(
                Part(
                    index,
                    amount,
                    partial(_shown_places, words, pattern.visual_words),
                    pattern.strength,
                    central,
                    _where(central),
                    partial(
                        seeing,
                        vocabulary=vocabulary,
                        pattern=pattern.visual_words,
                        bound=pattern.bound,
                    ),
                )
            )
    return by_turns(chosen)


def looked_at_parts(table: Measurements, half: Bools) -> list[Part]:
    """Choose places where the model looks on a group that it decides alike, the strongest first.

    Groups are of every predicted class on half of the images (n,).
    """
    if not table.layer:
        return []
    chosen: list[Part] = []
    for index in range(len(table.classes)):
        rows, others = of_class_and_others(table, index, half)
        smallest = smallest_group(len(rows))
        if len(others) < MIN_OTHERS_TO_TEST or len(rows) < 2 * smallest:
            continue
        concepts = SomeRows(table["relevance.concepts"], rows)
        usual = _mean_map(table, others)
        for group in strategies(concepts, pooled_maps(table, rows), table.seed):
            there = places_looked_at(_mean_map(table, rows[group.members]) - usual)
            if there is None:
                continue
            share = _share(table, there)
            bound = max(
                float(np.quantile(share[others], 1 - MAX_SHARE_OF_OTHERS, method="higher")),
                MIN_BOUND,
            )
            beyond = share[rows] > bound
            if beyond.sum() < smallest:
                continue
            farther = float(np.log(np.median(share[rows][beyond]) / bound))
            chosen.append(
                Part(
                    index,
                    share / bound,
                    partial(_same_places, there),
                    float(beyond.mean()) * farther,
                    0.0,
                    "It is the place off the centre where the model looks on a group of images "
                    "that it decides alike, whatever is there.",
                    partial(looking, there=there, bound=bound),
                )
            )
    return by_turns(chosen)


def _shown_places(words: VisualWords, pattern: Sequence[int], rows: Rows) -> Bools:
    return places_of(words[rows], pattern)


def _same_places(there: Bools, rows: Rows) -> Bools:
    return np.broadcast_to(there, (len(rows), *there.shape))


def places_looked_at(more: Floats) -> Bools | None:
    """Return where a group is looked at more than others (GRID, GRID); None for no such place.

    more: (GRID, GRID) difference of the mean shares of absolute relevance. The places lie off the
    centre and hold `HELD` of what is more there, the cells with most of it first.
    """
    excess = np.where(outside_centre(GRID, GRID) > 0, np.maximum(more, 0), 0).ravel()
    total = excess.sum()
    if not 0 < total < np.inf:
        return None
    order = np.argsort(-excess, kind="stable")
    size = int(np.searchsorted(np.cumsum(excess[order]), HELD * total)) + 1
    if size > MAX_PLACES * excess.size:
        return None
    there = np.zeros(excess.size, bool)
    there[order[:size]] = True
    return there.reshape(GRID, GRID)


def looking(viewer: Viewer, there: Bools, bound: float) -> See:
    """Return what tells how much the model looks at a place (GRID, GRID) of a picture.

    bound: the largest share of the relevance that other images have there; an amount of 1 is that.
    """

    def see(image: RGB) -> tuple[float, Mask]:
        attribution = viewer.explainer.attribute(viewer.inputs([image]), None, ())
        kept = relevance_columns(attribution.maps, None)
        absolute = kept["relevance.positive"].astype(np.float64) + kept["relevance.negative"]
        mask = on_picture(there, image.shape[:2], viewer.preprocessing)
        return float(np.nan_to_num(absolute[0])[there].sum()) / bound, mask

    return see


def _mean_map(table: Measurements, rows: NDArray[np.int64]) -> Floats:
    """Return the mean (GRID, GRID) of the maps of some images, as shares of absolute relevance."""
    total = np.zeros(GRID * GRID)
    for start in range(0, len(rows), CHUNK):
        total += np.nan_to_num(table.absolute_shares(rows[start : start + CHUNK])).sum(0)
    mean: Floats = (total / max(1, len(rows))).reshape(GRID, GRID)
    return mean


def _share(table: Measurements, there: Bools) -> Floats:
    """Return the share of every image's absolute relevance in a place (GRID, GRID): (n,)."""
    share = np.zeros(len(table.ids))
    for start in range(0, len(share), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(share)))
        share[rows] = np.nan_to_num(table.absolute_shares(rows))[:, there.ravel()].sum(1)
    return share
