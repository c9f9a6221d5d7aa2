"""Whether another order of the classes would fit the predictions clearly better."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import random_table

_MIN_GAIN = 0.1
"""Recall that the classes which change places must gain on average, beyond what chance gives. For
two classes this is a mean recall .05 below chance, the distance from which a model counts as above
chance."""
_TABLES = 199
"""Random tables that the gain must exceed, so that p <= 1 / 200. Chosen: a round figure, not
measured."""


@dataclass(frozen=True)
class BetterOrder:
    """An order of the classes that fits the predictions better than the one in use."""

    classes: tuple[str, ...]
    """Names in the order of the model's outputs."""
    recall: float
    """Mean recall over the classes that have images, in this order."""


@functools.lru_cache(maxsize=8)  # a run asks twice, and 1000 classes take seconds
def better_order(
    confusion: tuple[tuple[int, ...], ...], classes: tuple[str, ...], seed: int = 0
) -> BetterOrder | None:
    """Return the order with the highest mean recall if it is clearly better, else None.

    confusion: (classes, classes) counts, rows by label, columns by output. The order is a linear
    sum assignment of classes to outputs. An assignment that is searched for also gains by chance,
    the more the more classes there are. So its gain is compared with the gain of the best
    assignments of random tables with the same totals (Patefield 1981), made of the classes that
    change places.
    """
    counts = np.array(confusion, np.int64)
    order = _assigned(counts)
    moved = np.flatnonzero((order != np.arange(len(order))) & (counts.sum(1) > 0))
    if not len(moved):
        return None
    columns = np.union1d(moved, order[moved])
    among = counts[np.ix_(columns, columns)]
    gain = _gain(among)
    if gain < _gain_by_chance(among, seed) + _MIN_GAIN * len(moved):
        return None
    shares = _shares(counts)
    present = counts.sum(1) > 0
    recall = float(shares[np.arange(len(order)), order][present].mean())
    names = np.empty(len(order), object)
    names[order] = list(classes)
    return BetterOrder(tuple(names.tolist()), recall)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each output among the images of each class; rows without images are 0."""
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


def _assigned(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the output (classes,) of each class that makes the mean recall highest.

    Where several do, classes keep their own outputs.
    """
    own = 1e-9 * np.eye(len(counts))
    _, order = linear_sum_assignment(_shares(counts) + own, maximize=True)
    return np.asarray(order, np.int64)


def _gain(counts: NDArray[np.int64]) -> float:
    """Return the sum of recalls in the best order, less that in the order in use."""
    shares = _shares(counts)
    best = shares[np.arange(len(counts)), _assigned(counts)].sum()
    return float(best - np.trace(shares))


def _gain_by_chance(counts: NDArray[np.int64], seed: int) -> float:
    """Return the largest gain among random tables with the same totals.

    Infinite for a table without any image, and 0 where every random table is the table itself.
    """
    if not counts.sum():
        return float("inf")
    rng = np.random.default_rng(seed)
    tables = random_table(counts.sum(1), counts.sum(0), seed=rng)
    return max(_gain(np.asarray(tables.rvs(), np.int64)) for _ in range(_TABLES))
