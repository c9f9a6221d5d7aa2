"""How figures and foreign names are written: one way each, everywhere in a report.

Names come from files and class lists that anybody may have written. `visible` shows whatever could
hide or reorder text (control, bidirectional and zero-width characters, lone surrogates) as its code
point, so that a reader sees what is there and a terminal or a browser obeys none of it.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata

NBSP = "\u00a0"
MINUS = "\u2212"
DASH = "\u2013"
ELLIPSIS = "\u2026"

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str) -> str:
    """Return `text` with every character that would hide or act written as its code point."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\u27e8U+{ord(c):04X}\u27e9" if unicodedata.category(c) in _HIDDEN else c for c in text
    )


def name(text: str, limit: int = 64) -> str:
    """Return a foreign name as it may be shown: visible, one line, its middle cut when long."""
    shown = visible(text)
    if len(shown) <= limit:
        return shown
    tail = limit // 3
    return f"{shown[: limit - tail - 1]}{ELLIPSIS}{shown[-tail:]}"


def human(identifier: str) -> str:
    """Return an identifier in words: "dark_ring" as "dark ring", "a.b" as "a: b"."""
    words = re.sub(r"(?<=[a-z])\.(?=[a-z])", ": ", name(identifier).replace("_", " "))
    return re.sub(r"\bjpeg\b", "JPEG", words)


def sentence(text: str) -> str:
    """Return `text` with a capital at its start."""
    return text[:1].upper() + text[1:]


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
    return sign + _trimmed(f"{size:.{max(0, 2 - math.floor(math.log10(size)))}f}")


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


def plural(value: int, one: str, many: str | None = None) -> str:
    """Return "1 image", "2 images"."""
    return f"{count(value)}{NBSP}{one if value == 1 else many or one + 's'}"


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share as a percentage; never rounded to all or nothing unless it is."""
    if not is_known(share):
        return DASH
    assert share is not None
    shown = f"{100 * share:.{digits}f}"
    least = 10.0**-digits
    if share and float(shown) == 0:
        bound = f"<{NBSP}{least:.{digits}f}" if share > 0 else f">{NBSP}{MINUS}{least:.{digits}f}"
        return f"{bound}{NBSP}%"
    if share < 1 and float(shown) == 100:
        return f">{NBSP}{100 - least:.{digits}f}{NBSP}%"
    return f"{shown.replace('-', MINUS)}{NBSP}%"


def bound(text: str) -> str:
    """Return prose in which no line ends between a figure and its percent sign."""
    return re.sub(r"(?<=\d) %(?![\w%])", f"{NBSP}%", text)


def interval(low: float | None, high: float | None) -> str:
    """Return "0.86 to 0.95", naming an end that is not bounded."""
    if not is_known(low) and not is_known(high):
        return "no bound found"
    if not is_known(low):
        return f"at most {figure(high)}"
    if not is_known(high):
        return f"at least {figure(low)}"
    return f"{figure(low)} to {figure(high)}"


def percent_interval(low: float | None, high: float | None, digits: int = 0) -> str:
    """Return "86 to 95 %"; empty when there is no interval."""
    if not is_known(low) or not is_known(high):
        return ""
    return f"{percent(low, digits).removesuffix(NBSP + '%')} to {percent(high, digits)}"


def chance(symbol: str, value: float | None) -> str:
    """Return "p < 0.0001" or "q = 0.032"; empty when it was not computed."""
    if not is_known(value):
        return ""
    assert value is not None
    if value < 0.0001:
        return f"{symbol}{NBSP}<{NBSP}0.0001"
    return (
        f"{symbol}{NBSP}={NBSP}{value:.2g}" if value < 0.1 else f"{symbol}{NBSP}={NBSP}{value:.2f}"
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
