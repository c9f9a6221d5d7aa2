"""What others would say of the same model and images: their own code on the same inputs.

SpRAy (Lapuschkin et al. 2019) as CoRelAy runs it: spectral clustering of relevance maps; cleanlab's
check of image properties against the label, scored by CleanVision; a fixed threshold on the share
of relevance at the border. Groups by concept relevance: PCX (Dreyer et al. 2024), slices in the
manner of Domino (Eyuboglu et al. 2022), and a linear probe that is told the truth.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Labels = NDArray[np.int64]

FLAG = 0.3
"""Score below which cleanlab's Datalab calls a property spurious, by default."""
EDGE, SHARE = 0.15, 0.4
"""Width of the border in sides, and the share of relevance there that raises the fixed alarm."""
ALARMED = 0.05
"""Share of images over that threshold from which the fixed rule speaks of a shortcut."""
PURE, WHOLE = 0.8, 0.6
"""Purity and recall from which a cluster is the planted group."""
CLUSTERS = range(2, 9)
SLICES = 25
FOLDS = 5
WEIGHT = 10.0
"""How much more than a component of the concepts label and prediction weigh for slices."""


@dataclass(frozen=True)
class Spray:
    """The clusters of CoRelAy's pipeline, the number of them chosen by the widest gap."""

    isolated: bool
    """Whether one cluster is the planted group."""
    best: bool
    """The same for the best number of clusters, picked with the truth in hand."""


def spray(maps: NDArray[np.float32], planted: NDArray[np.bool_], seed: int) -> Spray:
    """Cluster relevance maps (n, h, w) of one class as CoRelAy does; planted (n,) is the truth."""
    from corelay.pipeline.spectral import SpectralClustering
    from corelay.processor.clustering import KMeans
    from corelay.processor.embedding import EigenDecomposition

    flat = maps.reshape(len(maps), -1).astype(np.float64)
    flat /= np.maximum(np.abs(flat).sum(1, keepdims=True), 1e-12)
    kept = min(32, len(flat) - 2)
    found = {}
    gaps: NDArray[np.float64] = np.empty(0)
    np.random.seed(seed)  # what CoRelAy draws from
    for k in CLUSTERS:
        pipeline = SpectralClustering(
            embedding=EigenDecomposition(n_eigval=kept, is_output=True),
            clustering=KMeans(n_clusters=k, is_output=True),
        )
        (values, _), labels = pipeline(flat)
        gaps = np.diff(np.sort(np.asarray(values)))
        found[k] = _isolates(np.asarray(labels), planted)
    chosen = int(np.argmax(gaps[CLUSTERS.start - 1 : CLUSTERS.stop - 1])) + CLUSTERS.start
    return Spray(found[chosen], any(found.values()))


def _isolates(labels: NDArray[np.int64], planted: NDArray[np.bool_]) -> bool:
    if not planted.any():
        return False
    for label in np.unique(labels):
        inside = labels == label
        if planted[inside].mean() >= PURE and planted[inside].sum() >= WHOLE * planted.sum():
            return True
    return False


def cleanlab_flags(folder: Path, labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the image properties that cleanlab calls spurious for the labels (n,).

    `labels` are in the order of the sorted paths below `folder`.
    """
    from cleanlab.datalab.internal.spurious_correlation import SpuriousCorrelations
    from cleanvision import Imagelab

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab = Imagelab(data_path=str(folder), verbose=False)
        lab.find_issues(verbose=False, n_jobs=1)
    issues = lab.issues.sort_index()
    names = [str(column) for column in issues]
    scores = issues[[c for c in names if c.endswith("_score") and "duplicates" not in c]]
    table = SpuriousCorrelations(scores.astype(float), labels).calculate_correlations()
    flagged = table[table["score"] < FLAG]["property"]
    return tuple(str(name).removesuffix("_score") for name in flagged)


def border_alarm(maps: NDArray[np.float32]) -> bool:
    """Tell whether a fixed rule on maps (n, h, w) of absolute relevance would raise an alarm."""
    h, w = maps.shape[1:]
    edge = np.ones((h, w), bool)
    band = round(EDGE * h)
    edge[band : h - band, band : w - band] = False
    total = np.maximum(maps.sum((1, 2)), 1e-12)
    share = maps[:, edge].sum(1) / total
    return bool((share > SHARE).mean() > ALARMED)


def pcx(concepts: NDArray[np.float64], seed: int) -> list[Labels]:
    """Return components (n,) of Gaussian mixtures of concept relevance (n, channels).

    The first has the number of components with the lowest BIC; those with 2 to 8 follow.
    """
    points = _points(concepts, seed)
    fitted = [
        GaussianMixture(k, covariance_type="diag", reg_covar=1e-4, n_init=3, random_state=seed)
        for k in CLUSTERS
    ]
    labels = [mixture.fit_predict(points) for mixture in fitted]
    best = int(np.argmin([mixture.bic(points) for mixture in fitted]))
    return [labels[best], *labels]


def domino(
    concepts: NDArray[np.float64], labels: Labels, logits: NDArray[np.float32], seed: int
) -> Labels:
    """Return the slice (n,) of each image: concepts, label and prediction mixed together.

    `concepts` are (n, channels), `labels` (n,) class indices, `logits` (n, K).
    """
    points = _points(concepts, seed)
    marks = np.hstack([np.eye(logits.shape[1])[labels], softmax(logits.astype(np.float64), 1)])
    points = np.hstack([points, WEIGHT * points.std() * marks])
    mixture = GaussianMixture(
        min(SLICES, len(points) // 4), covariance_type="diag", reg_covar=1e-4, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        found: Labels = mixture.fit_predict(points)
    return found


def told(concepts: NDArray[np.float64], target: NDArray[np.bool_]) -> bool:
    """Tell whether some cut of a linear probe that is told the truth, `target` (n,), names it."""
    if min(target.sum(), (~target).sum()) < FOLDS:
        return False
    probe = make_pipeline(
        StandardScaler(),
        PCA(min(60, len(concepts) // 2, concepts.shape[1]), random_state=0),
        LogisticRegression(C=0.02, max_iter=1000),
    )
    scores = cross_val_predict(probe, concepts, target, cv=FOLDS, method="decision_function")
    found = np.cumsum(target[np.argsort(-scores, kind="stable")])
    purity, recall = found / np.arange(1, len(found) + 1), found / found[-1]
    return bool(((purity >= PURE) & (recall >= WHOLE)).any())


def _points(concepts: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    k = min(16, len(concepts) - 1)
    points: NDArray[np.float64] = PCA(k, random_state=seed).fit_transform(concepts)
    scaled: NDArray[np.float64] = points / points.std()
    return scaled
