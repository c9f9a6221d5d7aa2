"""How sentences are put together, and how figures stand in them.

These are the plain texts of findings.json: ordinary spaces and signs. Reports set their own figures
with those of `figures`; `unbroken` and `many_unbroken` keep a figure and its unit on one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from melaudit.wording.figures import NBSP, count, percent_digits

if TYPE_CHECKING:
    from melaudit.findings import Counts
    from melaudit.statistics.estimates import Estimate


def many(n: int, thing: str, things: str | None = None) -> str:
    """Return "1 image", "1,200 images"; `things` where the plural takes more than an s."""
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def either(names: Sequence[str]) -> str:
    """Return "a", "a or b", "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def many_unbroken(n: int, thing: str, things: str | None = None) -> str:
    """Return the same, with no line end between the figure and the word."""
    return many(n, thing, things).replace(" ", NBSP, 1)


def not_used(images: int, unseen_folders: int, word: str = "skipped") -> str:
    """Return "2 skipped", and how many folders with an unknown number of images were left out."""
    folders = f" and {many_unbroken(unseen_folders, 'folder')} not looked into"
    return f"{count(images)} {word}" + (folders if unseen_folders else "")


def unbroken(text: str) -> str:
    """Return prose in which no line ends between a figure and its percent sign."""
    return re.sub(r"(?<=\d) %(?![\w%])", f"{NBSP}%", text)


def capitalised(text: str) -> str:
    """Return `text` with a capital at its start; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def within(title: str) -> str:
    """Return a title as it stands within a sentence: "black ring", but "JPEG compression"."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def ratio(value: float) -> str:
    """Return a ratio with two or three significant digits: 0.62, 4.1, 350."""
    if math.isinf(value):
        return "any size"
    if value >= 100:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


ALMOST = 1e-6
"""Hundredths that no figure of an audit resolves: the error of its sums."""
MOST_DIGITS = 2
"""Digits after the point of a share in hundredths."""


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'\u201c])")


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence."""
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0]


def rest_of(text: str) -> str:
    """Return what comes after the first sentence of a text; empty if nothing does."""
    return "".join(_SENTENCE_END.split(text.strip(), maxsplit=1)[1:])


def frequencies(counts: Counts) -> str:
    """Return predictions before and after a change as a sentence that anyone can picture."""
    return (
        f"Of {counts.n:,} {counts.images}, the model predicts {counts.target} for "
        f"{counts.before:,}; with {counts.change}, for {counts.after:,}."
    )


def percent(share: float) -> str:
    """Return a share of 1 as a percentage, finer where it is small: "34 %", "0.8 %"."""
    return _hundredths(share, percent_digits(share), " %")


def points(share: float) -> str:
    """Return a share of images, or a change of one, in images of a hundred: "34 of 100"."""
    return _hundredths(share, 0 if abs(share) >= 0.0995 else 1, " of 100")


def _hundredths(share: float, digits: int, unit: str) -> str:
    """Return 100 times a share; never rounded to none or all of them unless it is that."""
    size = float(100 * abs(share))
    if size < ALMOST or abs(size - 100) < ALMOST:
        return f"{100 * share:.0f}{unit}".replace("-0", "0", size < ALMOST)
    while float(f"{size:.{digits}f}") in (0, 100) and digits < MOST_DIGITS:
        digits += 1
    shown, least = f"{size:.{digits}f}", 10.0**-digits
    sign = "-" if share < 0 else ""
    if float(shown) == 0:
        return f"{'above' if share < 0 else 'below'} {sign}{least:.{digits}f}{unit}"
    if float(shown) == 100:
        above = (size > 100) == (share > 0)
        return f"{'above' if above else 'below'} {sign}100{unit}"
    return f"{sign}{shown}{unit}"


_UNITS = (" %", " of 100")
"""What follows the second end of an interval alone."""


def interval(estimate: Estimate, write: Callable[[float], str]) -> str:
    """Return "95 % interval 61 to 14,000", "12 to 40 of 100"; an open end is said in words."""
    low = write(estimate.low)
    if math.isinf(estimate.high):
        return f"95 % interval from {low} upwards"
    high = write(estimate.high)
    shared = next((unit for unit in _UNITS if low.endswith(unit) and high.endswith(unit)), "")
    return f"95 % interval {low.removesuffix(shared)} to {high}"
