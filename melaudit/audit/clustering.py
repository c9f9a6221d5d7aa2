"""Groups of images that the model decides in a like manner, and how suspicious each group is.

Per predicted class, images are clustered on concept relevance (which channels carried the
decision; the idea of prototypical concept-based explanations, Dreyer et al. 2024) together with
low-resolution maps (where it looked; spectral relevance analysis, Lapuschkin et al. 2019).
HDBSCAN chooses the number of clusters and leaves outliers out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grouping:
    """The clusters of one predicted class."""

    members: tuple[NDArray[np.int64], ...]
    """Rows of each cluster, the most typical first."""
    outliers: NDArray[np.int64]
    """Rows that belong to none."""


@dataclass(frozen=True)
class ClusterSettings:
    """How images are grouped."""

    smallest: int = 10
    """No cluster of fewer images."""
    share: float = 0.05
    """No cluster of a smaller share of its class."""
    components: int = 12
    """Principal components kept of concepts and of maps, each."""
    most: int = 20_000
    """Rows HDBSCAN sees; the others join the nearest centre, so memory stays bounded."""


def group(
    concepts: Floats, maps: Floats, seed: int, settings: ClusterSettings | None = None
) -> Grouping:
    """Cluster the images of one class.

    concepts: (n, channels) concept relevance; maps: (n, h, w) signed low-resolution maps. Rows
    with a non-finite value are outliers. Deterministic for a seed.
    """
    settings = settings or ClusterSettings()
    rows = np.flatnonzero(np.isfinite(concepts).all(1) & np.isfinite(maps).all((1, 2)))
    smallest = max(settings.smallest, int(settings.share * len(rows)))
    if len(rows) < 2 * smallest:
        return Grouping((), np.arange(len(concepts)))
    points = np.hstack(
        [
            _embed(concepts[rows], settings.components, seed),
            _embed(_smooth(maps[rows]), settings.components, seed),
        ]
    )
    labels = _assign(points, smallest, settings.most, seed)
    members = tuple(
        rows[inside][_typical(points[inside])]
        for label in range(labels.max() + 1)
        if len(inside := np.flatnonzero(labels == label))
    )
    taken = np.concatenate(members) if members else np.empty(0, np.int64)
    return Grouping(members, np.setdiff1d(np.arange(len(concepts)), taken))


def marking_channels(concepts: Floats, inside: NDArray[np.int64], count: int = 8) -> list[int]:
    """Name the channels whose relevance marks a cluster against the rest of its class.

    concepts: (n, channels) of one class; inside: rows of the cluster. The difference of means is
    taken in pooled standard deviations; only channels that stand higher inside are named.
    """
    mask = np.zeros(len(concepts), bool)
    mask[inside] = True
    if mask.all():
        return []
    spread = np.sqrt((concepts[mask].var(0) + concepts[~mask].var(0)) / 2)
    difference = concepts[mask].mean(0) - concepts[~mask].mean(0)
    effect = np.divide(difference, spread, out=np.zeros_like(difference), where=spread > 0)
    order = np.argsort(-effect, kind="stable")[:count]
    return [int(c) for c in order if effect[c] > 0]


def _embed(features: Floats, components: int, seed: int) -> Floats:
    """Project to principal components and give the block unit variance in total.

    Two blocks embedded so weigh the same, however many columns each had.
    """
    flat = features.reshape(len(features), -1)
    scale = np.abs(flat).sum(1, keepdims=True)
    flat = flat / np.where(scale > 0, scale, 1)
    if not flat.var(0).any():
        return np.zeros((len(flat), 1))
    pca = PCA(min(components, *flat.shape), svd_solver="randomized", random_state=seed)
    points: Floats = pca.fit_transform(flat)
    total = float(np.sqrt(points.var(0).sum()))
    return points / total if total > 0 else points


def _smooth(maps: Floats) -> Floats:
    """Pool (n, h, w) to an eighth of the side: where on the picture, not on which pixel."""
    n, h, w = maps.shape
    f = 4 if h % 4 == 0 and w % 4 == 0 else 1
    pooled: Floats = maps.reshape(n, h // f, f, w // f, f).sum((2, 4))
    return pooled


def _assign(points: Floats, smallest: int, most: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    seen = np.sort(rng.choice(len(points), min(len(points), most), replace=False))
    floor = max(5, smallest * len(seen) // len(points))
    found = HDBSCAN(min_cluster_size=floor, min_samples=5, copy=True).fit_predict(points[seen])
    labels = np.full(len(points), -1, np.int64)
    labels[seen] = found
    unseen = np.setdiff1d(np.arange(len(points)), seen)
    if len(unseen) and found.max() >= 0:
        centres = np.stack([points[seen][found == k].mean(0) for k in range(found.max() + 1)])
        reach = np.array(
            [
                np.quantile(np.linalg.norm(points[seen][found == k] - c, axis=1), 0.95)
                for k, c in enumerate(centres)
            ]
        )
        distances = np.linalg.norm(points[unseen, None] - centres[None], axis=2)
        nearest = distances.argmin(1)
        near = distances[np.arange(len(unseen)), nearest] <= reach[nearest]
        labels[unseen[near]] = nearest[near]
    return labels


def _typical(points: Floats) -> NDArray[np.int64]:
    """Order the points of one cluster by distance from their median, the nearest first."""
    order: NDArray[np.int64] = np.argsort(
        np.linalg.norm(points - np.median(points, 0), axis=1), kind="stable"
    )
    return order
