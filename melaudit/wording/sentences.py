"""How detectors write figures into sentences."""

from __future__ import annotations

import math
from collections.abc import Callable

from melaudit.statistics.estimates import Estimate


def many(n: int, thing: str) -> str:
    """Return "1 image", "1,200 images"."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def ratio(value: float) -> str:
    """Return a ratio with two or three significant digits: 0.62, 4.1, 350."""
    if math.isinf(value):
        return "any size"
    if value >= 100:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def percent(share: float) -> str:
    """Return a share of 1 as a percentage, finer where it is small: "34 %", "0.8 %"."""
    size = abs(100 * share)
    digits = 0 if size >= 9.95 or size < 0.005 else 1 if size >= 0.095 else 2
    return f"{100 * share:.{digits}f} %"


def points(share: float) -> str:
    """Return a share of images, or a change of one, in images of a hundred: "34 of 100"."""
    size = 100 * abs(share)
    digits = 0 if size >= 9.95 or size == 0 else 1
    return f"{100 * share:.{digits}f} of 100"


def interval(estimate: Estimate, write: Callable[[float], str]) -> str:
    """Return "95 % interval 61 to 14,000"; an open end is said in words."""
    if math.isinf(estimate.high):
        return f"95 % interval from {write(estimate.low)} upwards"
    return f"95 % interval {write(estimate.low)} to {write(estimate.high)}"
