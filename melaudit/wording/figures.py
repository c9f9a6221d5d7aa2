"""How reports set figures: one way each, with signs and spaces that no line end tears apart.

Where a figure is part of a statement in findings.json it is plain text instead: see `sentences`.
"""

from __future__ import annotations

import datetime
import math

from melaudit.wording.names import name

NBSP = "\u00a0"
MINUS = "\u2212"
DASH = "\u2013"
FINEST = 9
"""Digits after the point of a figure that is nearly 1."""


def is_known(value: float | None) -> bool:
    """Tell whether there is a finite figure to show."""
    return value is not None and math.isfinite(value)


def figure(value: float | None) -> str:
    """Return a number to three significant digits, thousands apart; a dash when there is none."""
    if value is None or math.isnan(value):
        return DASH
    value = value or 0.0  # there is no minus nought
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}\u221e"
    size = abs(float(value))
    sign = MINUS if value < 0 else ""
    if size >= 1e9 or 0 < size < 0.0005:
        mantissa, exponent = f"{size:.2e}".split("e")
        return f"{sign}{_trimmed(mantissa)}{NBSP}\u00d7{NBSP}10{_raised(int(exponent))}"
    if size >= 1000 or size.is_integer():
        return f"{sign}{size:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    while size < 1 <= float(f"{size:.{digits}f}") and digits < FINEST:
        digits += 1  # a correlation of 0.9996 is not 1
    return sign + _trimmed(f"{size:.{digits}f}")


def correlation(value: float, digits: int = 2) -> str:
    """Return a figure between -1 and 1 in words: "0.92", "-0.9996"; 1 only where it is 1."""
    while abs(value) < 1 <= abs(float(f"{value:.{digits}f}")) and digits < FINEST:
        digits += 1
    return f"{value:.{digits}f}"


def _trimmed(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _raised(exponent: int) -> str:
    return str(exponent).translate(
        str.maketrans(
            "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
        )
    )


def count(value: int) -> str:
    """Return a count with thousands apart."""
    return f"{value:,}"


def percent_digits(share: float) -> int:
    """Return how many digits after the point a percentage needs: more where it is small."""
    size = abs(100 * share)
    return 0 if size >= 9.95 or not size else 1 if size >= 0.095 else 2


def rounded_percent(share: float | None, digits: int = 0) -> str:
    """Return a share as a percentage with so many digits after the point.

    It is never rounded to all or nothing unless it is: 0.9996 is "> 99 %".
    """
    if not is_known(share):
        return DASH
    assert share is not None
    shown = f"{100 * share:.{digits}f}"
    least = 10.0**-digits
    if share and float(shown) == 0:
        limit = f"<{NBSP}{least:.{digits}f}" if share > 0 else f">{NBSP}{MINUS}{least:.{digits}f}"
        return f"{limit}{NBSP}%"
    if share < 1 and float(shown) == 100:
        return f">{NBSP}{100 - least:.{digits}f}{NBSP}%"
    return f"{shown.replace('-', MINUS)}{NBSP}%"


def span(low: float | None, high: float | None) -> str:
    """Return "0.86 to 0.95", naming an end that is not bounded."""
    if not is_known(low) and not is_known(high):
        return "no bound found"
    if not is_known(low):
        return f"at most {figure(high)}"
    if not is_known(high):
        return f"at least {figure(low)}"
    return f"{figure(low)} to {figure(high)}"


def percent_span(low: float | None, high: float | None, digits: int = 0) -> str:
    """Return "86 to 95 %"; empty when there is no interval."""
    if not is_known(low) or not is_known(high):
        return ""
    first = rounded_percent(low, digits).removesuffix(f"{NBSP}%")
    return f"{first} to {rounded_percent(high, digits)}"


def chance(symbol: str, value: float | None) -> str:
    """Return "p < 0.0001" or "q = 0.032"; empty when it was not computed."""
    if not is_known(value):
        return ""
    assert value is not None
    if value < 0.0001:
        return f"{symbol}{NBSP}<{NBSP}0.0001"
    return (
        f"{symbol}{NBSP}={NBSP}{value:.2g}"
        if value < 0.1
        else f"{symbol}{NBSP}={NBSP}{correlation(value)}"
    )


def date(iso: str) -> str:
    """Return "23 Nov 2026" for an ISO 8601 time; the text itself when it is not one."""
    try:
        return f"{datetime.datetime.fromisoformat(iso):%d %b %Y}".lstrip("0")
    except ValueError:
        return name(iso)


def moment(iso: str) -> str:
    """Return "23 Nov 2026, 14:05 UTC" for an ISO 8601 time; the text itself when it is not one."""
    try:
        when = datetime.datetime.fromisoformat(iso)
    except ValueError:
        return name(iso)
    if when.tzinfo is not None:
        when = when.astimezone(datetime.UTC)
    return f"{when:%d %b %Y, %H:%M}".lstrip("0") + f"{NBSP}UTC"


def duration(seconds: float) -> str:
    """Return "4 min 12 s", "2 h 3 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{figure(seconds)}{NBSP}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h {minutes}{NBSP}min"


def whole_duration(seconds: float) -> str:
    """Return "8 s", "1 min 48 s" or "2 h 3 min", in plain text."""
    return duration(round(seconds)).replace(NBSP, " ")
