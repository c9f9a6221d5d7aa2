"""Encoding: do the model's concepts separate a group of images from others of the same label?

A linear probe on the relevance of the channels of the concept layer, cross-validated with all
images of a patient in one fold, is compared with the same probe on shuffled groups (Ojala and
Garriga 2010). It stays within a label, because a model must separate labels and a group may go with
one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from melaudit.measurements import Features
from melaudit.statistics.estimates import Tested, Z, auc

Array = NDArray[np.float64]
RowMask = NDArray[np.bool_]

MIN_IMAGES = 20
"""Images of one label inside the group, and outside it, at least. Chosen, not measured."""
MAX_IMAGES = 800
"""Images of one label on which the probe is fitted, at most. Limits the time."""
FOLDS = 5
SHUFFLES = 400
RIDGE = 1.0
"""Weight of the penalty, in units of the mean squared norm of an image. Chosen, not measured."""


@dataclass(frozen=True)
class Encoding:
    """How well the probe tells the group."""

    auc: Tested
    """Mean over labels, by images; p from shuffled groups."""
    labels: tuple[int, ...]
    """Those that had enough images."""
    n: int


def encode(
    concepts: Features,
    member: RowMask,
    labels: NDArray[np.int64],
    patients: NDArray[np.object_] | None,
    seed: int,
) -> Encoding | None:
    """Probe concepts (n, channels) for a group (n,) within each label; None with too few images.

    Rows of label -1 are left out. Where the group is the same for all images of a patient, patients
    are shuffled, else images.
    """
    rng = np.random.default_rng(seed)
    kept, weights, values, errors, nulls = [], [], [], [], []
    for label in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == label)
        if len(rows) > MAX_IMAGES:
            rows = np.sort(rng.choice(rows, MAX_IMAGES, replace=False))
        who = None if patients is None else np.unique(patients[rows], return_inverse=True)[1]
        truth = member[rows]
        if min(truth.sum(), (~truth).sum()) < MIN_IMAGES:
            continue
        shuffled = np.stack([truth, *(_shuffled(truth, who, rng) for _ in range(SHUFFLES))], 1)
        scores = _out_of_fold(concepts[rows].astype(np.float64), shuffled, who, seed)
        if scores is None:
            continue
        areas = _areas(scores, shuffled)
        own = auc(scores[:, 0], truth)
        kept.append(int(label))
        weights.append(len(rows))
        values.append(areas[0])
        errors.append((own.high - own.low) / 2 / Z)
        nulls.append(areas[1:])
    if not kept:
        return None
    share = np.array(weights) / sum(weights)
    value = float(share @ np.array(values))
    width = Z * float(np.sqrt((share**2) @ np.array(errors) ** 2))
    null = share @ np.array(nulls)
    p = (1 + int((null >= value).sum())) / (1 + SHUFFLES)
    estimate = Tested(value, max(0.0, value - width), min(1.0, value + width), p)
    return Encoding(estimate, tuple(kept), sum(weights))


def _shuffled(truth: RowMask, who: NDArray[np.intp] | None, rng: np.random.Generator) -> RowMask:
    """Shuffle the group (n,), among patients if it is the same for all images of each."""
    if who is None:
        return rng.permutation(truth)
    inside = np.bincount(who, truth)
    size = np.bincount(who)
    if ((inside > 0) & (inside < size)).any():
        return rng.permutation(truth)
    shuffled: RowMask = rng.permutation(inside > 0)[who]
    return shuffled


def _out_of_fold(
    features: Array, targets: RowMask, who: NDArray[np.intp] | None, seed: int
) -> Array | None:
    """Return scores (n, t) of ridge regressions of t targets (n, t), each fitted without its fold.

    None where the folds cannot be made: fewer patients inside or outside than folds.
    """
    truth = targets[:, 0]
    if who is not None:
        fewest = min(len(np.unique(who[truth])), len(np.unique(who[~truth])))
        if fewest < FOLDS:
            return None
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(
            features, truth, who
        )
    else:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, truth)
    scores = np.zeros(targets.shape)
    for train, test in folds:
        middle, spread = features[train].mean(0), features[train].std(0)
        scaled = (features - middle) / np.where(spread > 0, spread, 1.0)
        kernel = scaled[train] @ scaled[train].T
        penalty = RIDGE * max(float(kernel.trace()) / len(train), 1e-12)
        wanted = targets[train] - targets[train].mean(0)
        weights = np.linalg.solve(kernel + penalty * np.eye(len(train)), wanted)
        scores[test] = scaled[test] @ scaled[train].T @ weights
    return scores


def _areas(scores: Array, targets: RowMask) -> Array:
    """Return the area under the ROC curve of each column of scores (n, t) for its target (n, t)."""
    ranks = stats.rankdata(scores, axis=0)
    inside = targets.sum(0)
    above = (ranks * targets).sum(0) - inside * (inside + 1) / 2
    out: Array = above / np.maximum(inside * (len(scores) - inside), 1)
    return out
