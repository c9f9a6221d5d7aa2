"""The map of strategies: every image as a point, near those that the same channels decided.

Each predicted class has a plane of its own, as clusters have: over all classes together, which
class was called would drown how. The two directions of a plane are the first principal components
of its images' concept relevance (Pearson 1901), so distances are true to the data as far as two
numbers can be; how far is said beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from melaudit.audit.groups.embedding import finite
from melaudit.findings import Cluster, first_clusters
from melaudit.measurements import Measurements
from melaudit.reports.interface import Landscape
from melaudit.wording.sentences import percent

MAX_POINTS = 1500
"""Points on the map; a larger set is sampled, for a page must stay small."""
MIN_IMAGES = 10
"""Images below which there is no map. Chosen: a round figure, not measured."""


def landscape(measurements: Measurements, clusters: Sequence[Cluster]) -> Landscape | None:
    """Lay out the images by their concept relevance; None for fewer than `MIN_IMAGES`."""
    concepts = measurements["relevance.concepts"]
    usable = np.flatnonzero(finite(concepts))
    if len(usable) < MIN_IMAGES or concepts.shape[1] < 2:
        return None
    rows = sample(usable, measurements.seed)
    predicted = measurements.predictions[rows]
    places, kept = np.zeros((len(rows), 2)), np.zeros(len(rows))
    for index in np.unique(predicted):
        of = predicted == index
        places[of], kept[of] = plane(concepts[rows[of]].astype(np.float64), measurements.seed)
    member = first_clusters(clusters)
    ids = [measurements.ids[row] for row in rows]
    labels = measurements.labels[rows]
    names = measurements.classes
    return Landscape(
        how="The two directions of a frame are those in which the channels' shares of relevance "
        f"differ most among its images; they hold {percent(float(kept.mean()))} of the "
        "differences, so images that lie together may still differ.",
        images=tuple(ids),
        x=tuple(places[:, 0].tolist()),
        y=tuple(places[:, 1].tolist()),
        clusters=tuple(member.get(i) for i in ids),
        predictions=tuple(names[k] for k in predicted),
        labels=tuple(names[k] if k >= 0 else None for k in labels),
        of=len(measurements.ids),
    )


def sample(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return at most `MAX_POINTS` of rows (n,), chosen at random, in their order."""
    if len(rows) <= MAX_POINTS:
        return rows
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MAX_POINTS])


def plane(points: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], float]:
    """Return points (n, d) as places (n, 2), and the share of their variance that these hold.

    Fewer than three points, or points that are all alike, lie in one place.
    The sign of a component is free; it is set so that its largest weight is positive.
    """
    if len(points) < 3 or not np.ptp(points, axis=0).any():
        return np.zeros((len(points), 2)), 0.0
    pca = PCA(2, svd_solver="randomized", random_state=seed)
    places = pca.fit_transform(points)
    largest = np.abs(pca.components_).argmax(1)
    signs = np.where(pca.components_[[0, 1], largest] < 0, -1.0, 1.0)
    return places * signs, min(1.0, float(pca.explained_variance_ratio_.sum()))
