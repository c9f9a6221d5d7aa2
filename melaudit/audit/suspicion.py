"""How suspicious a group is: a plain sum of named parts, each explained in words.

Suspicion orders what a reader looks at first. It is no statistic and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.embedding import pooled
from melaudit.audit.enrichment import Bools, enriched, traits
from melaudit.audit.portrait import Portrait, columns, portray
from melaudit.audit.strategies import Strategy, strategies
from melaudit.detectors.interface import Measurements
from melaudit.detectors.words import percent
from melaudit.findings import Cluster, Skipped

MOST = {
    "outside": 0.35,
    "artifact": 0.20,
    "errors": 0.15,
    "channels": 0.10,
    "alike": 0.10,
    "size": 0.05,
    "duplicates": 0.05,
}
"""The most each part can add; together 1. Where a group looks weighs most: it alone needs neither
a detector for the artifact nor labels."""

PLENTY = {
    "outside": 0.2,
    "artifact": 1.0,
    "errors": 0.5,
    "channels": 3.0,
    "alike": 0.3,
    "size": 0.25,
    "duplicates": 0.5,
}
"""What gives a part in full: differences from the rest of the class, for channels in standard
deviations; for size and duplicates shares."""

TOLD = {"outside": 0.05, "errors": 0.05, "alike": 0.1, "duplicates": 0.1}
"""Smallest differences that are put into words."""


def suspicious_clusters(
    measurements: Measurements,
    artifacts: Mapping[str, Bools],
    metadata: Mapping[str, Iterable[object]] | None = None,
) -> tuple[tuple[Cluster, ...], tuple[Skipped, ...]]:
    """Group the images of each predicted class and rank the groups by suspicion.

    artifacts: artifact -> (n,) whether an image shows it; metadata: column -> (n,) values.
    """
    table = columns(measurements)
    groups: list[tuple[str, Strategy, NDArray[np.int64], NDArray[np.int64]]] = []
    skipped: list[Skipped] = []
    for index, name in enumerate(measurements.classes):
        rows = np.flatnonzero(measurements.predictions == index)
        found = strategies(table.concepts[rows], _pooled(measurements, rows), measurements.seed)
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


def parts(portrait: Portrait) -> dict[str, float]:
    """Return what each part adds to the suspicion of a group."""
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
    }
    return {name: most * _unit(differences[name] / PLENTY[name]) for name, most in MOST.items()}


def reasons(name: str, portrait: Portrait, group: Strategy) -> tuple[str, ...]:
    """Say what is known of a group of the class `name`, in sentences."""
    seen = {"concepts": "by its channels", "maps": "by its maps", "both": "by both together"}
    how = ", ".join(seen[view] for view in group.views)
    lines = [
        f"{portrait.n} of the {portrait.class_n} images predicted {name} are decided in a like "
        f"manner (seen {how}; {percent(group.stability)} alike in samples of the images, "
        f"{percent(group.by_chance)} at most by chance)"
    ]
    inside, rest = portrait.outside
    if abs(inside - rest) >= TOLD["outside"]:
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
    if abs(inside - rest) >= TOLD["errors"]:
        lines.append(f"{percent(inside)} are wrong, {percent(rest)} in the rest of the class")
    inside, rest = portrait.alike
    if inside - rest >= TOLD["alike"]:
        lines.append(
            f"its pictures look alike (mean correlation {inside:.2f}, {rest:.2f} in the rest of "
            "the class)"
        )
    if portrait.duplicated >= TOLD["duplicates"]:
        lines.append(f"{percent(portrait.duplicated)} have a near-duplicate among them")
    return tuple(lines)


def _cluster(
    identity: str,
    name: str,
    group: Strategy,
    portrait: Portrait,
    ids: tuple[str, ...],
    artifacts: Mapping[str, Bools],
) -> Cluster:
    added = parts(portrait)
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
    )


def _pooled(measurements: Measurements, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    positive, negative = measurements["relevance.positive"], measurements["relevance.negative"]
    return pooled(positive[rows]) - pooled(negative[rows])


def _unit(value: float) -> float:
    return 0.0 if np.isnan(value) else float(np.clip(value, 0, 1))


def _words(trait: str) -> str:
    return trait if "=" in trait else "a " + trait.replace("_", " ")


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
