"""Where the model fails: groups of images with more errors than the rest, and what they share.

A small tree looks for such groups among one half of the images, by how they are decided; the other
half, which the tree did not see, says how often the model is wrong there (honest trees, Athey and
Imbens 2016). Without labels, or with hardly an error, images with small margins stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from melaudit.audit.groups.embedding import fit
from melaudit.audit.groups.enrichment import Bools, Enriched, enriched, traits
from melaudit.findings import Skipped, Slice
from melaudit.logits import per_class
from melaudit.measurements import CHUNK, Measurements, SomeRows
from melaudit.statistics.correction import clear, q_value, settle
from melaudit.statistics.estimates import odds_ratio, proportion
from melaudit.wording.sentences import percent

MAX_LEAVES = 8
"""Groups that the tree may make, at most. Chosen, not measured."""
MIN_IMAGES, MIN_SHARE = 15, 0.03
"""Images of a half in a group, at least, and their share of the half. Chosen, not measured."""
MIN_FAILURES = 20
"""Errors that the images must hold before groups of them are searched. Chosen, not measured."""
UNSURE_SHARE = 0.1
"""Share of the images, those with the smallest margins, that count as failed where labels show too
few errors. Chosen, not measured."""
MAX_IMAGES_LISTED = 200
"""Images named for a slice, at most."""


@dataclass(frozen=True)
class Failing:
    """What counts as failing."""

    rows: NDArray[np.int64]
    """Images that can be judged."""
    failed: NDArray[np.bool_]
    """(len(rows),)"""
    failing_as: str


def failing(measurements: Measurements) -> Failing | None:
    """Return which images the model fails on: wrong ones or, where few are known, unsure ones."""
    known = np.flatnonzero(measurements.labels >= 0)
    wrong = measurements.predictions[known] != measurements.labels[known]
    if wrong.sum() >= MIN_FAILURES:
        return Failing(known, wrong, "wrong")
    sure = margins(measurements.logits)
    count = int(UNSURE_SHARE * len(sure))
    if count < MIN_FAILURES:
        return None
    limit = np.partition(sure, count)[count]
    return Failing(np.arange(len(sure)), sure < limit, "unsure")


def margins(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far the first class leads the second (n,), in logits (n, K)."""
    ordered = np.partition(per_class(logits.astype(np.float64)), -2, axis=1)
    lead: NDArray[np.float64] = ordered[:, -1] - ordered[:, -2]
    return lead


def slices(
    measurements: Measurements, artifacts: Mapping[str, Bools]
) -> tuple[tuple[Slice, ...], tuple[Skipped, ...]]:
    """Find the groups on which the model fails more often, the worst first."""
    judged = failing(measurements)
    if judged is None:
        few = "too few images are known to be wrong, and there are too few to rank by margin"
        return (), (Skipped("slices", few),)
    concepts = measurements["relevance.concepts"]
    projection = fit(concepts, measurements.seed)
    if projection is None:
        return (), (Skipped("slices", "the images' concepts do not vary together"),)
    points = projection.apply(SomeRows(concepts, judged.rows))
    rng = np.random.default_rng(measurements.seed)
    searched = rng.permutation(len(points)) % 2 == 0
    least = max(MIN_IMAGES, int(MIN_SHARE * searched.sum()))
    tree = DecisionTreeClassifier(
        max_leaf_nodes=MAX_LEAVES, min_samples_leaf=least, random_state=measurements.seed
    )
    tree.fit(points[searched], judged.failed[searched])
    leaf = np.concatenate([tree.apply(points[i : i + CHUNK]) for i in range(0, len(points), CHUNK)])
    found = _tested(leaf, judged, ~searched)
    if not found:
        said = (
            f"no group of images on which the model is {judged.failing_as} more often than "
            "elsewhere"
        )
        return (), (Skipped("slices", said),)
    groups = [(judged.rows[leaf == k], judged.rows[leaf != k]) for k, _ in found]
    excess = enriched(groups, traits(artifacts, measurements.metadata))
    listed = [
        _slice(number, judged, leaf, k, ~searched, q, shared, measurements)
        for number, ((k, q), shared) in enumerate(zip(found, excess, strict=True), 1)
    ]
    return tuple(listed), ()


def _tested(
    leaf: NDArray[np.int64], judged: Failing, held_out: NDArray[np.bool_]
) -> list[tuple[int, float]]:
    """Return (leaf, q-value) of those that fail more often on held-out images, the worst first."""
    leaves = np.unique(leaf)
    estimates = []
    for k in leaves:
        inside, outside = held_out & (leaf == k), held_out & (leaf != k)
        halves = [judged.failed[inside], judged.failed[outside]]
        estimates.append(odds_ratio([[h.sum(), (~h).sum()] for h in halves]))
    kept = [
        (-float(judged.failed[held_out & (leaf == k)].mean()), int(k), q_value(e))
        for k, e in zip(leaves, settle(estimates), strict=True)
        if clear(e) and e.low > 1
    ]
    return [(k, q) for _, k, q in sorted(kept)]


def _slice(
    number: int,
    judged: Failing,
    leaf: NDArray[np.int64],
    k: int,
    held_out: NDArray[np.bool_],
    q: float,
    shared: list[Enriched],
    measurements: Measurements,
) -> Slice:
    inside, outside = held_out & (leaf == k), held_out & (leaf != k)
    n, failures = int(inside.sum()), int(judged.failed[inside].sum())
    rate = proportion(failures, n)
    elsewhere = float(judged.failed[outside].mean())
    members = judged.rows[leaf == k]
    ordered = members[np.argsort(~judged.failed[leaf == k], kind="stable")]
    why = [
        f"{judged.failing_as} on {failures} of {n} images that the search did not see "
        f"({percent(rate.value)}, 95 % interval {percent(rate.low)} to {percent(rate.high)}), "
        f"{percent(elsewhere)} elsewhere"
    ]
    why += [
        f"{percent(trait.inside)} have {trait.name.replace('_', ' ')}, "
        f"{percent(trait.outside)} elsewhere"
        for trait in [e for e in shared if e.more][:3]
    ]
    called = np.bincount(measurements.predictions[members], minlength=len(measurements.classes))
    return Slice(
        id=f"slice-{number}",
        n=len(members),
        measure=judged.failing_as,
        rate=rate.value,
        rate_low=rate.low,
        rate_high=rate.high,
        elsewhere=elsewhere,
        q_value=q,
        called={c: int(v) for c, v in zip(measurements.classes, called, strict=True) if v},
        why=tuple(why),
        images=tuple(measurements.ids[row] for row in ordered[:MAX_IMAGES_LISTED]),
    )
