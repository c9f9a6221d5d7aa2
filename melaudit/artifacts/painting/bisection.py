"""Bisection: fit the strength of an edit so that it changes the picture by a given amount."""

from __future__ import annotations

from collections.abc import Callable


def bisected(
    enough: Callable[[float], bool],
    low: float,
    high: float,
    halvings: int,
    *,
    geometric: bool = False,
) -> tuple[float, float]:
    """Narrow down the smallest strength that is enough: return the interval (low, high) around it.

    `enough` must be False below some strength and True above it. The interval is halved at its
    arithmetic or its geometric mean. If nothing up to `high` is enough, `high` stays as it is.
    """
    for _ in range(halvings):
        middle = (low * high) ** 0.5 if geometric else (low + high) / 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return low, high
