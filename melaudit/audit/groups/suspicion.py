"""How suspicious a group is: a sum of named components, each explained in a sentence.

Suspicion orders what a reader looks at first. It is not a statistic and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.embedding import pooled
from melaudit.audit.groups.enrichment import Bools, enriched, traits
from melaudit.audit.groups.exclusive import (
    SAME_GROUP_JACCARD,
    Counted,
    Pattern,
    counted,
    exclusive_patterns,
)
from melaudit.audit.groups.likeness import patterns_by_likeness
from melaudit.audit.groups.portrait import Portrait, columns, portray
from melaudit.audit.groups.strangeness import strange_pattern
from melaudit.audit.groups.strategies import Strategy, smallest_group, strategies
from melaudit.audit.measure.visual_words import NOTHING, Sight, Vocabulary
from melaudit.findings import Cluster, Exclusive, Skipped
from melaudit.measurements import CHUNK, Measurements, SomeRows
from melaudit.statistics.overlap import jaccard, like_none
from melaudit.wording.figures import correlation
from melaudit.wording.sentences import percent

WEIGHTS = {
    "outside": 0.30,
    "exclusive": 0.20,
    "artifact": 0.15,
    "errors": 0.10,
    "channels": 0.10,
    "alike": 0.05,
    "size": 0.05,
    "duplicates": 0.05,
}
"""The most that each component can add; together 1. Where a group looks weighs most, then what it
shows that others do not: these need neither a detector for the artifact nor labels. Chosen, not
measured: `docs/strategies.md` measures the groups, not these weights."""

FULL_DIFFERENCE = {
    "outside": 0.2,
    "exclusive": 0.1,
    "artifact": 1.0,
    "errors": 0.5,
    "channels": 3.0,
    "alike": 0.3,
    "size": 0.25,
    "duplicates": 0.5,
}
"""Value at which a component adds its full weight: a difference from the rest of the class (for
channels in standard deviations), a share (size, duplicates), or the strength of a pattern (see
`exclusive`). Chosen, not measured."""

PARTS_VIEW = "parts"
"""The view of groups by what their pictures show."""


@dataclass(frozen=True)
class ClassGroup:
    """Images of a class that have something in common."""

    members: NDArray[np.int64]
    """As rows of the class, the most typical first."""
    views: tuple[str, ...]
    stability: float
    by_chance: float
    exclusive: Exclusive | None
    """What they show and images of other classes hardly do, where that is known."""


MIN_DIFFERENCE_WORDED = {"outside": 0.05, "errors": 0.05, "alike": 0.1, "duplicates": 0.1}
"""Smallest differences that a sentence mentions. Chosen, not measured."""


def suspicious_clusters(
    measurements: Measurements,
    artifacts: Mapping[str, Bools],
    metadata: Mapping[str, Iterable[object]] | None = None,
    sight: Sight = NOTHING,
) -> tuple[tuple[Cluster, ...], tuple[Skipped, ...]]:
    """Group the images of each predicted class and rank the groups by suspicion.

    artifacts: artifact -> (n,) whether an image shows it; metadata: column -> (n,) values;
    sight: what the pass noted of the places of every image. Returns the clusters, the
    most suspicious first, and the classes that do not fall into groups.
    """
    table = columns(measurements)
    counts_by_vocabulary = counted_words(measurements, sight.vocabularies)
    groups: list[tuple[str, ClassGroup, NDArray[np.int64], NDArray[np.int64]]] = []
    skipped: list[Skipped] = []
    for index, name in enumerate(measurements.classes):
        rows = np.flatnonzero(measurements.predictions == index)
        concepts, maps = SomeRows(table.concepts, rows), pooled_maps(measurements, rows)
        strategic = strategies(concepts, maps, measurements.seed)
        others = np.flatnonzero(measurements.of_other_classes(index))
        smallest = smallest_group(len(rows))
        alike = patterns_by_likeness(measurements, rows, others, smallest)
        of_words = exclusive_patterns(
            [counts.of(rows) for counts in counts_by_vocabulary],
            [counts.of(others) for counts in counts_by_vocabulary],
            sight.vocabularies,
            smallest,
            measurements.seed,
        )
        odd = strange_pattern(measurements, rows, others, smallest)
        found = joined(strategic, apart(apart(alike, odd), of_words), len(others))
        if not found:
            said = f"the {len(rows)} images predicted {name} do not fall into groups"
            skipped.append(Skipped("clusters", said))
        for group in found:
            inside = rows[group.members]
            groups.append((name, group, inside, np.setdiff1d(rows, inside)))
    shown = traits(artifacts, metadata or {})
    excess = enriched([(inside, rest) for _, _, inside, rest in groups], shown)
    numbers = dict.fromkeys(measurements.classes, 0)
    clusters = []
    for (name, group, inside, rest), more in zip(groups, excess, strict=True):
        numbers[name] += 1
        portrait = portray(inside, rest, tuple(more), table)
        ids = tuple(measurements.ids[row] for row in inside)
        clusters.append(_cluster(f"{name}-{numbers[name]}", name, group, portrait, ids, artifacts))
    return tuple(sorted(clusters, key=lambda c: (-c.suspicion, c.id))), tuple(skipped)


def joined(
    strategic: Sequence[Strategy], patterns: Sequence[Pattern], others: int
) -> tuple[ClassGroup, ...]:
    """Return the groups of a class that either way found; two that are much alike become one.

    others: number of images predicted as another class.
    """
    of_strategy: dict[int, Pattern] = {}
    alone: list[Pattern] = []
    for pattern in patterns:
        rows = np.arange(len(pattern.members))
        alike = [jaccard(pattern.members, np.isin(rows, s.members)) for s in strategic]
        same = int(np.argmax(alike)) if alike else 0
        if alike and alike[same] >= SAME_GROUP_JACCARD and same not in of_strategy:
            of_strategy[same] = pattern
        else:
            alone.append(pattern)
    return (
        *(
            ClassGroup(
                strategy.members,
                (*strategy.views, *((PARTS_VIEW,) if k in of_strategy else ())),
                strategy.stability,
                strategy.by_chance,
                _exclusive(of_strategy.get(k), others),
            )
            for k, strategy in enumerate(strategic)
        ),
        *(
            ClassGroup(
                pattern.order,
                (PARTS_VIEW,),
                pattern.stability,
                pattern.by_chance,
                _exclusive(pattern, others),
            )
            for pattern in alone
        ),
    )


def components(portrait: Portrait, exclusive: Exclusive | None = None) -> dict[str, float]:
    """Return what each component adds to the suspicion of a group: name -> 0 to its weight."""
    more = [e.inside - e.outside for e in portrait.enriched if e.more]
    strongest = [m.effect for m in portrait.marking[:3]]
    differences = {
        "outside": portrait.outside[0] - portrait.outside[1],
        "artifact": max(more, default=0.0),
        "errors": abs(portrait.errors[0] - portrait.errors[1]),
        "channels": float(np.mean(strongest)) if strongest else 0.0,
        "alike": portrait.alike[0] - portrait.alike[1],
        "size": portrait.n / portrait.class_n,
        "duplicates": portrait.duplicated,
        "exclusive": exclusive.strength if exclusive else 0.0,
    }
    return {
        name: most * _unit(differences[name] / FULL_DIFFERENCE[name])
        for name, most in WEIGHTS.items()
    }


def reasons(name: str, portrait: Portrait, group: ClassGroup) -> tuple[str, ...]:
    """Say what is known of a group of the class `name`, in sentences."""
    seen = {"concepts": "by its channels", "maps": "by its maps", "both": "by both together"}
    how = [seen[view] for view in group.views if view != PARTS_VIEW]
    steady = (
        f"{percent(group.stability)} alike in samples of the images, "
        f"{percent(group.by_chance)} at most by chance"
    )
    of_class = f"{portrait.n} of the {portrait.class_n} images predicted {name}"
    lines = []
    if how:
        lines = [f"{of_class} are decided alike (seen {', '.join(how)}; {steady})"]
    if shown := group.exclusive:
        alike = ", like hardly anything in other images and maybe several things"
        lines.append(
            f"{'most of them' if how else of_class} show something away from the centre"
            f"{alike if shown.strange else ''}; {percent(shown.others)} of the {shown.others_n} "
            f"images neither predicted nor labelled {name} show as much of it, and "
            f"{percent(shown.evidence)} of the relevance speaks there for {name}"
            + ("" if how else f" ({steady})")
        )
    inside, rest = portrait.outside
    if abs(inside - rest) >= MIN_DIFFERENCE_WORDED["outside"]:
        lines.append(
            f"{percent(inside)} of the relevance lies outside the central half of the picture, "
            f"{percent(rest)} in the rest of the class"
        )
    lines += [
        f"{percent(trait.inside)} show {_words(trait.name)}, {percent(trait.outside)} in the rest "
        f"of the class (odds ratio {_ratio(trait.odds.value)})"
        for trait in [e for e in portrait.enriched if e.more][:3]
    ]
    inside, rest = portrait.errors
    if abs(inside - rest) >= MIN_DIFFERENCE_WORDED["errors"]:
        lines.append(f"{percent(inside)} are wrong, {percent(rest)} in the rest of the class")
    inside, rest = portrait.alike
    if inside - rest >= MIN_DIFFERENCE_WORDED["alike"]:
        lines.append(
            f"its pictures look alike (mean correlation {correlation(inside)}, "
            f"{correlation(rest)} in the rest of the class)"
        )
    if portrait.duplicated >= MIN_DIFFERENCE_WORDED["duplicates"]:
        lines.append(f"{percent(portrait.duplicated)} have a near-duplicate among them")
    return tuple(lines)


def _cluster(
    identity: str,
    name: str,
    group: ClassGroup,
    portrait: Portrait,
    ids: tuple[str, ...],
    artifacts: Mapping[str, Bools],
) -> Cluster:
    added = components(portrait, group.exclusive)
    wrong = portrait.errors[0]
    return Cluster(
        id=identity,
        predicted=name,
        n=portrait.n,
        suspicion=float(sum(added.values())),
        parts=added,
        why=reasons(name, portrait, group),
        images=ids,
        class_mix=portrait.class_mix,
        error_rate=None if np.isnan(wrong) else wrong,
        border_share=portrait.border[0],
        artifacts={e.name: e.inside for e in portrait.enriched if e.name in artifacts},
        channels=tuple(m.channel for m in portrait.marking),
        views=group.views,
        stability=group.stability,
        stability_by_chance=group.by_chance,
        outside_share=portrait.outside[0],
        effects=tuple(m.effect for m in portrait.marking),
        odds_ratios={e.name: e.odds.value for e in portrait.enriched if e.more},
        exclusive=group.exclusive,
    )


def apart(first: Sequence[Pattern], second: Sequence[Pattern]) -> tuple[Pattern, ...]:
    """Return patterns, and those found otherwise that other images show."""
    return (
        *first,
        *(
            pattern
            for pattern in second
            if like_none(pattern.members, (one.members for one in first), SAME_GROUP_JACCARD)
        ),
    )


def counted_words(measurements: Measurements, vocabularies: Sequence[Vocabulary]) -> list[Counted]:
    """Return the counts of visual words of every image, for each vocabulary."""
    positive = measurements["relevance.positive"] if vocabularies else np.empty(0)
    return [
        counted(measurements[vocabulary.column], positive, len(vocabulary.visual_words))
        for vocabulary in vocabularies
    ]


def _exclusive(pattern: Pattern | None, others: int) -> Exclusive | None:
    if pattern is None:
        return None
    return Exclusive(
        others=pattern.others,
        others_n=others,
        evidence=pattern.evidence,
        strength=pattern.strength,
        vocabulary=pattern.vocabulary,
        words=pattern.visual_words,
        like=() if pattern.like is None else tuple(pattern.like.astype(float).tolist()),
        bound=pattern.bound,
    )


def pooled_maps(measurements: Measurements, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the signed maps of some images, coarsely: (m, cells)."""
    positive, negative = measurements["relevance.positive"], measurements["relevance.negative"]
    some = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)] or [rows]
    return np.concatenate([pooled(positive[part]) - pooled(negative[part]) for part in some])


def _unit(value: float) -> float:
    return 0.0 if np.isnan(value) else float(np.clip(value, 0, 1))


def _words(trait: str) -> str:
    return trait if "=" in trait else "a " + trait.replace("_", " ")


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
