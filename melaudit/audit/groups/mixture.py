"""Typical strategies of a class as a Gaussian mixture, and images unlike any of them.

The idea of prototypical concept-based explanations (Dreyer et al. 2024): the components of a
mixture fitted to concept relevance are what a class is usually decided by; an image that the
mixture finds improbable is decided in a way of its own. Label errors and foreign images are.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from melaudit.audit.groups.embedding import MAX_FITTED_ROWS, Points
from melaudit.measurements import CHUNK
from melaudit.statistics.correction import ALPHA, false_discovery

FOLDS = 5
MAX_COMPONENTS = 8
"""Components tried, at most."""
MIN_IMAGES_PER_COMPONENT = 20
"""Images for each component, at least. Chosen, not measured."""
BULK, TAIL = 0.5, 0.85
"""Quantiles between which the rate of the tail is fitted; outliers may lie beyond them. Chosen, not
measured."""


@dataclass(frozen=True)
class Mixture:
    """The typical strategies of a class, as a mixture."""

    shares: NDArray[np.float64]
    """(k,) share of the class, the most common first."""
    component: NDArray[np.int64]
    """(n,) the component each image most likely belongs to."""
    distance: NDArray[np.float64]
    """(n,) Mahalanobis distance from the mean of that component; small is typical."""
    unlikeness: NDArray[np.float64]
    """(n,) negated log-likelihood under mixtures that were fitted without the image."""
    p_value: NDArray[np.float64]
    """(n,) p-value: how often an image of the class is as unlikely (see `tail`)."""
    unlike: NDArray[np.bool_]
    """(n,) whether the image is unlike any strategy, at a false discovery rate of `ALPHA`."""


def mixture(points: Points, seed: int) -> Mixture:
    """Fit a mixture to points (n, k), n >= 2 * PER_COMPONENT, its size by BIC (Schwarz 1978)."""
    rng = np.random.default_rng(seed)
    fitted = np.sort(rng.choice(len(points), min(len(points), MAX_FITTED_ROWS), replace=False))
    found = _best(points[fitted], seed)
    means, precisions = found.means_, found.precisions_cholesky_
    component = _in_chunks(found.predict, points).astype(np.int64)
    offset = points - means[component]
    distance = np.zeros(len(points))
    for k in range(found.n_components):
        inside = component == k
        distance[inside] = np.linalg.norm(offset[inside] @ precisions[k], axis=1)
    order = np.argsort(-found.weights_, kind="stable")
    unlikeness = _held_out(points, found.n_components, seed)
    p = tail(unlikeness)
    return Mixture(
        shares=found.weights_[order],
        component=np.argsort(order, kind="stable")[component],
        distance=distance,
        unlikeness=unlikeness,
        p_value=p,
        unlike=false_discovery(p) <= ALPHA,
    )


def tail(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often a value (n,) or a larger one would come up, were all of one kind.

    Negated log-likelihoods have an exponential tail (half a chi-squared). Its rate is read off
    between the quantiles `BULK` and `TAIL`, which a few odd values cannot move.
    """
    low, high = np.quantile(values, [BULK, TAIL])
    scale = (high - low) / np.log((1 - BULK) / (1 - TAIL))
    if scale <= 0:
        return np.ones(len(values))
    p: NDArray[np.float64] = (1 - BULK) * np.exp(-(values - low) / scale)
    return np.minimum(p, 1.0)


def _best(points: Points, seed: int) -> GaussianMixture:
    most = min(MAX_COMPONENTS, max(1, len(points) // MIN_IMAGES_PER_COMPONENT))
    tried = [_fit(points, count, seed) for count in range(1, most + 1)]
    scores = [model.bic(points) for model in tried]
    return tried[int(np.argmin(scores))]


def _fit(points: Points, count: int, seed: int) -> GaussianMixture:
    spread = float(points.var(0).mean())
    model = GaussianMixture(
        count, random_state=seed, reg_covar=max(1e-2 * spread, 1e-12), max_iter=200
    )
    with warnings.catch_warnings():
        # A mixture that has not converged after 200 steps is judged by its BIC all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points.astype(np.float64))


def _held_out(points: Points, count: int, seed: int) -> NDArray[np.float64]:
    """Return the negated log-likelihood of each point under a mixture fitted without it."""
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(points)) % FOLDS
    out = np.empty(len(points))
    for k in range(FOLDS):
        others = np.flatnonzero(fold != k)
        some = np.sort(rng.choice(others, min(len(others), MAX_FITTED_ROWS), replace=False))
        model = _fit(points[some], count, seed)
        out[fold == k] = -_in_chunks(model.score_samples, points[fold == k])
    return out


def _in_chunks(function: object, points: Points) -> NDArray[np.float64]:
    assert callable(function)
    parts = [
        np.asarray(function(points[i : i + CHUNK].astype(np.float64)), np.float64)
        for i in range(0, len(points), CHUNK)
    ]
    return np.concatenate(parts)
