"""Whether a group is found again in samples, and whether chance gives groups as stable.

A group is steady when samples of the images give it again: the mean Jaccard index with its likest
group over samples (Hennig 2007, who trusts none below .6). The null is the same procedure on
features that are shuffled one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.clustering import Labels, dense_groups
from melaudit.audit.groups.embedding import Points, fit, shuffled
from melaudit.measurements import Features
from melaudit.statistics.overlap import jaccard, pairwise_jaccard

MIN_STABILITY = 0.6
"""Mean Jaccard index from which a group may be trusted (Hennig 2007)."""
DRAWS = 20
"""Samples in which each group is searched again. Chosen, not measured."""
SAMPLE_SHARE = 0.5
"""Share of the images in each sample (Hennig's subsetting)."""
NULLS = 19
"""Shuffled sets: exceeding all of them has p = 1 / 20 by chance."""
MAX_POINTS = 1000
"""Points in a sample, at most."""


def steadiness(
    points: Points, labels: Labels, smallest: int, seed: int, draws: int = DRAWS
) -> NDArray[np.float64]:
    """Return the mean Jaccard index of each group of `labels` (n,) with its match in samples.

    Only images in the sample count, on both sides. A group of which a sample holds nothing is
    not judged by that sample.
    """
    rng = np.random.default_rng(seed)
    groups, n = int(labels.max()) + 1, len(points)
    size = min(int(np.ceil(SAMPLE_SHARE * n)), MAX_POINTS)
    likest = np.full((draws, groups), np.nan)
    for draw in range(draws):
        some = np.sort(rng.choice(n, size, replace=False))
        again = dense_groups(points[some], max(2, smallest * size // n), seed)
        likest[draw] = pairwise_jaccard(labels[some], again, groups).max(1, initial=0)
    seen = ~np.isnan(likest)
    sums = np.where(seen, likest, 0).sum(0)
    steady: NDArray[np.float64] = sums / np.maximum(seen.sum(0), 1)
    return steady


def by_chance(
    blocks: Sequence[Features],
    components: Sequence[int],
    smallest: int,
    seed: int,
    nulls: int = NULLS,
) -> float:
    """Return the stability of the most stable group in `nulls` shuffled versions of the features.

    blocks: features (n, d), side by side; each is seen in as many components as the true ones
    were. 0 when no shuffle holds a group.
    """
    rng = np.random.default_rng(seed)
    n = len(blocks[0])
    some = np.sort(rng.choice(n, min(n, MAX_POINTS), replace=False))
    samples = [np.asarray(block[some], np.float32) for block in blocks]
    floor = max(2, smallest * len(some) // n)
    best = 0.0
    for _ in range(nulls):
        mixed = [shuffled(sample, rng) for sample in samples]
        fits = [fit(m, seed, k) for m, k in zip(mixed, components, strict=True)]
        points = np.hstack([f.apply(m) for f, m in zip(fits, mixed, strict=True) if f is not None])
        labels = dense_groups(points, floor, seed)
        if labels.max() >= 0:
            best = max(best, float(steadiness(points, labels, floor, seed, DRAWS // 4).max()))
    return best


class HasMembers(Protocol):
    """Something that some images of a class show."""

    @property
    def members(self) -> NDArray[np.bool_]:
        """(n,) which images of the class do."""
        ...


class Images(Protocol):
    """What is known of n images."""

    def __len__(self) -> int:
        """Return n."""
        ...

    def of(self, rows: NDArray[np.int64]) -> Self:
        """Return the same of some images."""
        ...


S = TypeVar("S", bound=Images)
Pick = Callable[[S, S, int], Sequence[HasMembers]]
"""pick(a class, others, fewest members) -> what the class shows and others hardly do."""


def found_again(
    patterns: Sequence[HasMembers],
    own: S,
    others: S,
    pick: Pick[S],
    fewest: int,
    rng: np.random.Generator,
    draws: int,
) -> NDArray[np.float64]:
    """Return, per pattern, the mean Jaccard index with the most similar one in half-samples."""
    likest = np.zeros((draws, len(patterns)))
    for draw in range(draws):
        mine, rest = (
            np.sort(rng.choice(n, -(-n // 2), replace=False)) for n in (len(own), len(others))
        )
        again = pick(own.of(mine), others.of(rest), max(2, fewest // 2))
        for k, pattern in enumerate(patterns):
            likest[draw, k] = max(
                (jaccard(pattern.members[mine], other.members) for other in again), default=0.0
            )
    mean: NDArray[np.float64] = likest.mean(0)
    return mean


def found_by_chance(
    every: S, n: int, pick: Pick[S], fewest: int, rng: np.random.Generator, draws: int
) -> float:
    """Return the stability of the most stable pattern where n images at random are the class."""
    best = 0.0
    for _ in range(NULLS):
        order = rng.permutation(len(every))
        mine, rest = every.of(order[:n]), every.of(order[n:])
        patterns = pick(mine, rest, fewest)
        if patterns:
            steady = found_again(patterns, mine, rest, pick, fewest, rng, draws)
            best = max(best, float(steady.max()))
    return best
