"""Directions of light, colour and sharpness in which images of one class differ from others.

What is measured lies round the middle of the pictures: at the object classes look different, as
they should. A direction is found like a pattern (`groups.exclusive`): the images of other classes
set the bound, so that few of a class lie beyond it by accident. It starts along each property, and
along what tells the classes apart (Fisher 1936), and is turned to those that lie beyond the bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from melaudit.audit.groups.exclusive import (
    MAX_SHARE_OF_OTHERS,
    MIN_OTHERS_TO_TEST,
    SAME_PATTERN_JACCARD,
)
from melaudit.statistics.correction import level_of_each
from melaudit.statistics.overlap import like_none

PROPERTIES = ("lightness_around", "red_around", "yellow_around", "sharpness_around")
"""What a look is found by, among `detectors.measures.properties`."""
JUST_VISIBLE = (1.0, 1.0, 1.0, 0.02)
"""Spread of each property below which it counts as one: less cannot be seen. Chosen, not measured.
"""
MIN_DIFFERENCE = 1.0
"""Spreads by which those beyond the bound must differ from others in one property at least. Chosen,
not measured."""
TURNS = 3
"""Times that a direction is turned to the images beyond the bound."""
RIDGE = 0.1
"""What is added to the variances of properties that have been scaled to 1: there are few images."""

MIN_BOUND = 1e-3
"""Keeps a bound at the others' mean from dividing by zero."""

Values = NDArray[np.float64]
"""(n, properties)."""
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Direction:
    """A direction in which images of a class lie beyond almost all others."""

    middle: Values
    """(properties,) mean of the others."""
    weights: Values
    """(properties,) of the difference from there; the others' spread along it is 1."""
    bound: float
    """Distance along it beyond which an image counts as showing the look."""
    differs: Values
    """(properties,) how far the members lie from the others, in spreads of each property."""
    members: Bools
    """(n,) images of the class beyond the bound."""
    others: float
    """Share of the other images beyond the bound."""
    strength: float
    """How much of the class lies beyond the bound, and how far."""

    def amount(self, values: Values) -> Values:
        """Return how much of the look images (n, properties) have: (n,), above 0.

        1 is the most that others have, 1/2 stands for half the way there from their mean, 1/4 for
        that.
        """
        along = (np.nan_to_num(values) - self.middle) @ self.weights
        amount: Values = 4.0 ** np.clip(along / max(self.bound, MIN_BOUND) - 1, -9, 9)
        return amount


def directions(own: Values, others: Values, smallest: int) -> tuple[Direction, ...]:
    """Return directions in which a class lies apart, the strongest first.

    own: (n, properties) of its images, others: (m, properties); smallest: images that a direction
    needs. No two of them have much the same members.
    """
    if len(others) < MIN_OTHERS_TO_TEST or len(own) < 2 * smallest:
        return ()
    middle = others.mean(0)
    scale = np.maximum(others.std(0), JUST_VISIBLE)
    mine, rest = (own - middle) / scale, (others - middle) / scale
    spread = np.cov(rest.T) + RIDGE * np.eye(len(middle))
    axes = np.eye(len(middle))
    starts = [*axes, *-axes, np.linalg.solve(spread, mine.mean(0))]
    found = []
    for start in starts:
        turned = _turned(start, mine, rest, spread, smallest)
        if turned is None:
            continue
        along, bound = turned
        beyond, rare = mine @ along > bound, rest @ along > bound
        n, m = len(mine), len(rest)
        p = hypergeom.sf(beyond.sum() - 1, n + m, beyond.sum() + rare.sum(), n)
        differs = mine[beyond].mean(0)
        if p > level_of_each(len(starts)) or np.abs(differs).max() < MIN_DIFFERENCE:
            continue
        found.append(
            Direction(
                middle,
                along / scale,
                bound,
                differs,
                beyond,
                float(rare.mean()),
                _strength(mine @ along, bound),
            )
        )
    apart: list[Direction] = []
    for each in sorted(found, key=lambda each: -each.strength):
        if like_none(each.members, (one.members for one in apart), SAME_PATTERN_JACCARD):
            apart.append(each)
    return tuple(apart)


def _turned(
    start: Values, own: Values, others: Values, spread: Values, smallest: int
) -> tuple[Values, float] | None:
    """Return the strongest direction on the way to those beyond its bound, and the bound.

    None for too few.
    """
    along, best, most = start, None, -np.inf
    for _ in range(TURNS + 1):
        length = float(np.sqrt(along @ spread @ along))
        if length == 0:
            return best
        along = along / length
        bound = float(np.quantile(others @ along, 1 - MAX_SHARE_OF_OTHERS, method="higher"))
        beyond = own @ along > bound
        if beyond.sum() < smallest:
            return best
        strength = _strength(own @ along, bound)
        if strength > most:
            best, most = (along, bound), strength
        along = np.linalg.solve(spread, own[beyond].mean(0))
    return best


def _strength(along: Values, bound: float) -> float:
    """Return how much of a class lies beyond a bound on a direction (n,), times how far."""
    beyond = along > bound
    return float(beyond.mean()) * float(np.median(along[beyond]) - bound)
