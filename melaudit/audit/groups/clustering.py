"""Dense groups among points: the number is found from the data, and outliers stay out.

HDBSCAN (Campello et al. 2013) sees all points of a small set and a seeded sample, the landmarks,
of a large one; every other point does as most of its nearest landmarks do. Time grows linearly
beyond that and memory not at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN
from sklearn.neighbors import KDTree

from melaudit.audit.groups.embedding import Points
from melaudit.measurements import CHUNK

Labels = NDArray[np.int64]

OUTLIER = -1
MAX_EXACT_POINTS = 10_000
"""Up to this many points all are clustered; beyond, this many landmarks. `docs/strategies.md` has
the cost and the agreement."""
NEIGHBOURS = 5
"""Neighbours for the density of a place, and for the vote on a point that is no landmark. Chosen,
not measured."""


def dense_groups(points: Points, smallest: int, seed: int, exact: int = MAX_EXACT_POINTS) -> Labels:
    """Label the points (n, k): 0, 1, ... by group, the largest first, OUTLIER for the rest.

    smallest: images below which nothing counts as a group.
    """
    rng = np.random.default_rng(seed)
    n = len(points)
    seen = np.arange(n) if n <= exact else np.sort(rng.choice(n, exact, replace=False))
    floor = max(NEIGHBOURS, smallest * len(seen) // n)
    if len(seen) < 2 * floor:
        return np.full(n, OUTLIER)
    labels = np.full(n, OUTLIER)
    found = HDBSCAN(min_cluster_size=floor, min_samples=NEIGHBOURS, copy=True).fit_predict(
        points[seen]
    )
    labels[seen] = found
    left = np.setdiff1d(np.arange(n), seen, assume_unique=True)
    labels[left] = vote(points[seen], found, points[left])
    return by_size(labels)


def vote(known: Points, labels: Labels, points: Points) -> Labels:
    """Label points (m, k) by the majority of their nearest known points (n, k), in chunks."""
    out = np.full(len(points), OUTLIER)
    if not len(points):
        return out
    tree = KDTree(known)
    groups = np.arange(OUTLIER, labels.max() + 1)
    for start in range(0, len(points), CHUNK):
        near = tree.query(points[start : start + CHUNK], NEIGHBOURS, return_distance=False)
        counts = (labels[near][:, :, None] == groups).sum(1)
        out[start : start + CHUNK] = groups[counts.argmax(1)]
    return out


def by_size(labels: Labels) -> Labels:
    """Renumber the groups, the largest first."""
    counts = np.bincount(labels[labels >= 0], minlength=labels.max() + 1)
    order = np.argsort(-counts, kind="stable")
    fresh = np.append(np.argsort(order, kind="stable"), OUTLIER)
    return fresh[labels]
