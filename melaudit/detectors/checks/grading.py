"""How the checks of the explanations grade what they measured, and write it down."""

from __future__ import annotations

import math
from decimal import Decimal

from melaudit.findings import CheckStatus


def grade(passes: bool, degraded: bool) -> CheckStatus:
    """Return PASS if the first holds, DEGRADED if only the second does, else FAIL."""
    if passes:
        return CheckStatus.PASS
    return CheckStatus.DEGRADED if degraded else CheckStatus.FAIL


def worse(a: CheckStatus, b: CheckStatus) -> CheckStatus:
    """Return the worse of two outcomes."""
    return max(a, b, key=list(CheckStatus).index)


NOISE = 1e-5
"""What figures of one picture may differ by with the images beside it, which change the order of
adding up. Chosen: more than ten times the most that was seen, 6.6e-7."""


def bound(error: float) -> str:
    """Write what an error does not exceed, to two digits and never closer than the noise."""
    return amount(max(error, NOISE))


def amount(value: float) -> str:
    """Write a quantity to two digits, as a reader takes it in: 6,200 or 0.36 or 0.0000003."""
    short = f"{value:.2g}"
    if not math.isfinite(value) or abs(value) >= 1e15:
        return short
    return format(Decimal(short), ",f")
