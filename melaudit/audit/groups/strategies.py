"""The strategies of one predicted class: groups of images that are decided in the same way.

Images are grouped by which channels carried the decision (concept relevance; Dreyer et al. 2024),
by where on the picture the evidence is (maps; Lapuschkin et al. 2019), and by both together. A
group counts when it is found again in samples of the images, more reliably than any group of
shuffled features, and when an antimode of the density separates it from the rest of the class.

Images decided by the same channels in different places have one strategy. An example is a ring
that is on the left of one image and on the right of another. So groups by both are joined where one
group by concepts holds most of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.clustering import dense_groups
from melaudit.audit.groups.embedding import Points, finite, fit
from melaudit.audit.groups.stability import MIN_STABILITY, by_chance, steadiness
from melaudit.audit.groups.unimodality import separation_p_value
from melaudit.measurements import Features, SomeRows
from melaudit.statistics.correction import level_of_each

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

CONCEPTS, MAPS, BOTH = "concepts", "maps", "both"

MIN_IMAGES = 10
"""Images in a group, at least. Chosen, not measured."""
MIN_SHARE = 0.05
"""Share of the class in a group, at least; of large classes less, see `smallest_group`."""


@dataclass(frozen=True)
class Strategy:
    """A group of images, as rows of its class."""

    members: Rows
    """The most typical first."""
    views: tuple[str, ...]
    """In which it was seen: concepts, maps, both."""
    stability: float
    """Mean Jaccard index with the most similar group in samples of the images."""
    by_chance: float
    """The same for the most stable group of shuffled features."""


@dataclass(frozen=True)
class ViewGroup:
    """A group in one view."""

    mask: Mask
    stability: float
    counts: bool
    """Whether it is stable, more so than by chance, and separated from the rest."""


@dataclass(frozen=True)
class View:
    """The groups that one kind of features gives."""

    points: Points
    groups: tuple[ViewGroup, ...]
    chance: float
    """Stability of the most stable group of shuffled features."""


def smallest_group(n: int) -> int:
    """Return how many images make a group among n: a twentieth, from n = 2000 on sqrt(5 n)."""
    return max(MIN_IMAGES, int(min(MIN_SHARE * n, np.sqrt(5 * n))))


def strategies(concepts: Features, maps: Points, seed: int) -> tuple[Strategy, ...]:
    """Group the images of a class, the largest group first; no image is in two.

    concepts: (n, channels) concept relevance; maps: (n, cells) pooled signed maps. Rows with a
    non-finite value are in no group. Deterministic for a seed.
    """
    rows = np.flatnonzero(finite(concepts) & finite(maps))
    smallest = smallest_group(len(rows))
    if len(rows) < 2 * smallest:
        return ()
    views = _views({CONCEPTS: _some(concepts, rows), MAPS: _some(maps, rows)}, smallest, seed)
    if not views:
        return ()
    found: list[tuple[Mask, tuple[str, ...], float, float]] = []
    taken = np.zeros(len(rows), bool)
    for mask, names, stability, chance in _candidates(views):
        fresh = mask & ~taken
        if fresh.sum() < max(smallest, mask.sum() / 2):  # most of it is known already
            continue
        found.append((fresh, names, stability, chance))
        taken |= fresh
    points = np.hstack([view.points for name, view in views.items() if name != BOTH])
    groups = [
        Strategy(rows[typical(points, mask)], names, stability, chance)
        for mask, names, stability, chance in found
    ]
    return tuple(sorted(groups, key=lambda g: (-len(g.members), int(g.members[0]))))


def typical(points: Points, mask: Mask) -> Rows:
    """Return the rows of a group, those nearest to its median first."""
    rows = np.flatnonzero(mask)
    distance = np.linalg.norm(points[rows] - np.median(points[rows], 0), axis=1)
    ordered: Rows = rows[np.argsort(distance, kind="stable")]
    return ordered


def _some(features: Features, rows: Rows) -> SomeRows:
    if isinstance(features, SomeRows):
        return SomeRows(features.column, features.rows[rows])
    return SomeRows(features, rows)


def _views(features: Mapping[str, SomeRows], smallest: int, seed: int) -> dict[str, View]:
    """Group by each kind of features and, where both vary, by both concatenated."""
    projections = {name: fit(block, seed) for name, block in features.items()}
    points = {
        name: projection.apply(features[name])
        for name, projection in projections.items()
        if projection is not None
    }
    views = {name: _view([features[name]], [p], smallest, seed) for name, p in points.items()}
    if len(points) == len(features):
        views[BOTH] = _view(list(features.values()), list(points.values()), smallest, seed)
    return views


def _view(
    blocks: Sequence[SomeRows], projected: Sequence[Points], smallest: int, seed: int
) -> View:
    points = np.hstack(projected)
    labels = dense_groups(points, smallest, seed)
    masks = [labels == k for k in range(labels.max(initial=-1) + 1)]
    if not masks:
        return View(points, (), 0.0)
    steady = steadiness(points, labels, smallest, seed)
    # Over all groups of a view, one cloud is called separated with probability ALPHA at most.
    level = level_of_each(len(masks))
    apart = [
        stability >= MIN_STABILITY and separation_p_value(points, mask, seed) <= level
        for mask, stability in zip(masks, steady, strict=True)
    ]
    chance = 0.0
    if any(apart):  # the null is expensive, and not needed otherwise
        chance = by_chance(blocks, [block.shape[1] for block in projected], smallest, seed)
    groups = tuple(
        ViewGroup(mask, float(stability), there and stability > chance)
        for mask, stability, there in zip(masks, steady, apart, strict=True)
    )
    return View(points, groups, chance)


def _candidates(
    views: Mapping[str, View],
) -> list[tuple[Mask, tuple[str, ...], float, float]]:
    """Return the groups that count: (members, views, stability, by chance), by priority.

    Groups by concepts come first; where the joint view holds most of one, only that is kept. Then
    come groups by both, then by maps.
    """
    found: list[tuple[Mask, tuple[str, ...], float, float]] = []
    for name in (CONCEPTS, BOTH, MAPS):
        for group in views[name].groups if name in views else ():
            if group.counts:
                mask = group.mask
                names: tuple[str, ...] = (name,)
                if name == CONCEPTS and BOTH in views:
                    mask, names = _narrowed(mask, views[BOTH])
                found.append((mask, names, group.stability, views[name].chance))
    return found


def _narrowed(mask: Mask, joint: View) -> tuple[Mask, tuple[str, ...]]:
    """Replace a group by concepts by the joint groups inside it, where these are most of it."""
    masks = [group.mask for group in joint.groups]
    inside = [fine for fine in masks if (fine & mask).sum() > fine.sum() / 2]
    union = np.any(inside, 0) if inside else np.zeros_like(mask)
    if (union & mask).sum() >= mask.sum() / 2:
        return union, (CONCEPTS, BOTH)
    return mask, (CONCEPTS,)
