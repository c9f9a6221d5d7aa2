"""Other weights for the last layer: pure functions from features and groups to a linear map.

`refitted` is balanced last-layer retraining (Kirichenko, Izmailov and Wilson, ICLR 2023): logistic
regression with an l1 penalty on draws that have as many pictures of every group, averaged over ten
draws. One thing is added: the old logits are features too, hardly penalised, so that what the model
knows is kept and the penalty falls on what is changed. `projected` is P-ClArC (Anders et al.,
Information Fusion 77, 2022), `suppressed` leaves features out; both are here to compare with.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from melaudit.mitigation.groups import Pool, Rows, balanced

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

DRAWS = 10
"""Balanced draws that are averaged, as the authors do."""
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of the l1 penalty that are tried, the strongest first. Chosen: from where
hardly a feature is left to where the penalty hardly tells, on three models of rings."""
FOLDS = 3
"""Of patients, by which the strength is chosen."""
KEPT = 10.0
"""How many times less an old logit is penalised than a feature."""
STEPS = 300
SHARES = (0.01, 0.03, 0.1, 0.3)
"""Shares of the features that `suppressed` tries to leave out."""


@dataclass(frozen=True)
class Linear:
    """Logits of C classes as a linear map of features: slopes (C, d), offsets (C,)."""

    slopes: Matrix
    offsets: Vector

    def __call__(self, features: NDArray[np.floating]) -> Matrix:
        """Return the logits (n, C) of features (n, d)."""
        return features.astype(np.float64) @ self.slopes.T + self.offsets


@dataclass(frozen=True)
class Scale:
    """Features made comparable: their means and spreads (d,) over some pictures."""

    mean: Vector
    spread: Vector

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Scale:
        """Measure them; a feature that never varies has spread 1."""
        values = features.astype(np.float64)
        spread = values.std(0)
        return cls(values.mean(0), np.where(spread > 0, spread, 1.0))

    def __call__(self, features: NDArray[np.floating]) -> Matrix:
        """Return features (n, d) with mean 0 and spread 1 over those it was measured on."""
        scaled: Matrix = (features.astype(np.float64) - self.mean) / self.spread
        return scaled

    def undone(self, fitted: Linear) -> Linear:
        """Return a map of scaled features as the same map of features as they are."""
        slopes = fitted.slopes / self.spread
        return Linear(slopes, fitted.offsets - slopes @ self.mean)


def refitted(
    pool: Pool, old: Linear, seed: int, *, keep_old: bool = True, strength: float | None = None
) -> Linear:
    """Fit balanced draws of the pool and return their average.

    The strength of the penalty, unless given, is the greatest of those whose worst group, on
    patients left out, is as good as the best within one standard error. `keep_old` makes the old
    logits features.
    """
    chosen = strength or _best(pool, old, seed, keep_old)
    return _average(pool, old, chosen, seed, DRAWS, keep_old)


def plain(pool: Pool, old: Linear, seed: int) -> Linear:
    """Fit the pool as it is, without balance or l1: plain fine-tuning of the head."""
    return _fitted(pool, old, 1.0, keep_old=False, penalty="l2")


def projected(pool: Pool, old: Linear, classes: int) -> Linear:
    """Take the direction of the artifact out of the features (P-ClArC).

    The direction is the mean difference of features with and without the artifact, averaged over
    the classes that have both; what lies along it becomes what it is on average without it.
    """
    features = pool.features.astype(np.float64)
    differences = []
    for label in range(classes):
        shown, lacking = (features[(pool.labels == label) & (pool.present == p)] for p in (1, 0))
        if len(shown) and len(lacking):
            differences.append(shown.mean(0) - lacking.mean(0))
    direction = np.mean(differences, 0)
    direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
    level = float(features[~pool.present].mean(0) @ direction)
    along = old.slopes @ direction
    return Linear(old.slopes - np.outer(along, direction), old.offsets + along * level)


def suppressed(pool: Pool, old: Linear, classes: int) -> Linear:
    """Leave out the features that tell pictures of a class with and without the artifact apart.

    A feature left out counts as it does on average without the artifact. Of `SHARES` the one with
    the best worst group on the pool is taken, of equals the smallest.
    """
    scaled = Scale.of(pool.features)(pool.features)
    apart = np.zeros(scaled.shape[1])
    for label in range(classes):
        shown, lacking = (scaled[(pool.labels == label) & (pool.present == p)] for p in (1, 0))
        if len(shown) and len(lacking):
            apart = np.maximum(apart, np.abs(shown.mean(0) - lacking.mean(0)))
    order = np.argsort(-apart, kind="stable")
    usual = pool.features[~pool.present].astype(np.float64).mean(0)
    tried = []
    for share in SHARES:
        left_out = order[: max(1, round(share * len(order)))]
        slopes = old.slopes.copy()
        slopes[:, left_out] = 0
        offsets = old.offsets + old.slopes[:, left_out] @ usual[left_out]
        tried.append(Linear(slopes, offsets))
    return max(tried, key=lambda made: worst_group(made, pool))


def worst_group(made: Linear, pool: Pool) -> float:
    """Return the share right in the group that fares worst."""
    right = made(pool.features).argmax(1) == pool.labels
    groups = pool.groups
    return min(float(right[groups == name].mean()) for name in np.unique(groups))


def _best(pool: Pool, old: Linear, seed: int, keep_old: bool) -> float:
    """Return the strongest penalty whose worst group is as good as the best within one error.

    Over folds of patients; the error is that of a share of as many pictures.
    """
    names = np.unique(pool.units)
    fold_of = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    fold = fold_of[np.searchsorted(names, pool.units)]
    right = np.zeros((len(STRENGTHS), len(pool.labels)))
    for k in range(FOLDS):
        kept, left = pool.take(fold != k), pool.take(fold == k)
        if len(np.unique(kept.labels)) < 2 or not len(left.labels):
            continue
        for i, strength in enumerate(STRENGTHS):
            made = _average(kept, old, strength, seed, 2, keep_old)
            right[i, fold == k] = made(left.features).argmax(1) == left.labels
    groups = pool.groups
    each = [groups == name for name in np.unique(groups)]
    worst = [min(float(r[of].mean()) for of in each) for r in right]
    best = max(worst)
    error = float(np.sqrt(best * (1 - best) / min(int(of.sum()) for of in each)))
    return next(s for s, share in zip(STRENGTHS, worst, strict=True) if share >= best - error)


def _average(
    pool: Pool, old: Linear, strength: float, seed: int, draws: int, keep_old: bool
) -> Linear:
    rng = np.random.default_rng([seed, 1])
    made = [
        _fitted(pool.take(balanced(pool.groups, rng)), old, strength, keep_old=keep_old)
        for _ in range(draws)
    ]
    return Linear(
        np.mean([each.slopes for each in made], 0), np.mean([each.offsets for each in made], 0)
    )


def _fitted(
    pool: Pool, old: Linear, strength: float, *, keep_old: bool, penalty: str = "l1"
) -> Linear:
    """Fit one draw; logits (n, C) of its classes, those that it lacks as the old head has them."""
    scale = Scale.of(pool.features)
    x = scale(pool.features)
    before = old(pool.features)
    before = before - before.mean(1, keepdims=True)
    size = max(float(before.std()), 1e-9)
    d = x.shape[1]
    if keep_old:
        x = np.hstack([x, KEPT * before / size])
    slopes, offsets = _logistic(x, pool.labels, len(old.offsets), strength, penalty)
    fitted = scale.undone(Linear(slopes[:, :d], offsets))
    if not keep_old:
        return fitted
    # The old logits as features are a linear map of the features themselves.
    again = slopes[:, d:] * KEPT / size
    again = again - again.mean(1, keepdims=True)
    return Linear(fitted.slopes + again @ old.slopes, fitted.offsets + again @ old.offsets)


def _logistic(
    x: Matrix, labels: Rows, classes: int, strength: float, penalty: str
) -> tuple[Matrix, Vector]:
    """Return slopes (C, p) and offsets (C,) of a logistic regression of classes on x (n, p)."""
    there = np.unique(labels)
    two = len(there) == 2
    model = LogisticRegression(
        C=strength,
        l1_ratio=1.0 if penalty == "l1" else 0.0,
        solver="liblinear" if two and penalty == "l1" else "saga" if penalty == "l1" else "lbfgs",
        intercept_scaling=KEPT,
        max_iter=STEPS,
        tol=1e-3 if not two else 1e-4,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weights are averaged over draws
        model.fit(x, labels)
    slopes, offsets = np.zeros((classes, x.shape[1])), np.full(classes, -50.0)
    if two:
        slopes[there] = np.stack([-model.coef_[0], model.coef_[0]]) / 2
        offsets[there] = np.array([-1, 1]) * model.intercept_[0] / 2
    else:
        slopes[there], offsets[there] = model.coef_, model.intercept_
    return slopes, offsets
