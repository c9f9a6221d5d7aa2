"""Classes: from the names in the data to the indices of the model's outputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit.errors import DatasetError
from melaudit.wording.names import visible


class UnnamedClassesError(DatasetError):
    """Classes of the data that the user's list does not name."""


_NUMBER = re.compile(r"[+-]?[0-9]+")


def encode(
    labels: Sequence[str | None], found: Sequence[str], classes: Sequence[str] | None
) -> tuple[NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """Turn class names into indices: codes (n,) with -1 for None, the classes, and notes.

    `classes` is the order of the model's outputs. Without it, the order is that of `found`, the
    names that occur. Names may differ from `classes` in case; whole numbers are taken as indices
    into `classes` if no class has such a name.

    Raises DatasetError if `classes` lacks a name that occurs, or repeats one.
    """
    notes: tuple[str, ...] = ()
    if classes is None:
        names = tuple(found)
        index = {name: i for i, name in enumerate(names)}
    else:
        names = tuple(visible(name.strip()) for name in classes)
        if len(set(names)) < len(names) or not all(names):
            raise DatasetError(
                f"--classes {','.join(names)} has an empty or repeated name; expected one name per "
                "output of the model"
            )
        index, notes = _matched(found, names, set(labels))
    codes = np.fromiter(
        (-1 if label is None else index[label] for label in labels), np.int64, len(labels)
    )
    return codes, names, notes


def in_order(names: Iterable[str]) -> list[str]:
    """Return names sorted as text, or as numbers if all of them are whole numbers."""
    listed = sorted(names)
    if not all(_NUMBER.fullmatch(name) for name in listed):
        return listed
    return sorted(listed, key=int)


def order_note(names: Sequence[str]) -> tuple[str, ...]:
    """Say that classes are in the order of numbers, where that of text is another one."""
    if list(names) == sorted(names) or list(names) != in_order(names):
        return ()
    shown, text = (
        ", ".join(each[:12]) + " ..." * (len(each) > 12) for each in (list(names), sorted(names))
    )
    return (
        f"Classes are in the order of numbers ({shown}). Loaders such as ImageFolder sort them as "
        f"text ({text}); --classes gives another order.",
    )


def _matched(
    found: Sequence[str], names: tuple[str, ...], used: set[str | None]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return name that occurs -> index of the user's class, and notes."""
    exact = {name: i for i, name in enumerate(names)}
    folded = {name.casefold(): i for i, name in enumerate(names)}
    index = {name: exact.get(name, folded.get(name.casefold(), -1)) for name in found}
    lost = [name for name in found if index[name] < 0 and name in used]
    if not lost:
        return index, ()
    numbers = {name: int(name) for name in found if name.isdecimal() and name.isascii()}
    if len(numbers) == len(found) and all(n < len(names) for n in numbers.values()):
        shown = ", ".join(f"{name} as {names[n]}" for name, n in numbers.items())
        return numbers, (f"Labels are numbers: {shown} (by --classes).",)
    raise UnnamedClassesError(
        f"the data has classes that --classes does not name: {', '.join(lost[:12])}"
        f"{' ...' if len(lost) > 12 else ''}; found {', '.join(found[:12])}, given "
        f"{', '.join(names)}. Name every class of the data, in the order of the model's outputs"
    )


def one_class(codes: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Note that all images with a label, by codes (n,), are of one class."""
    present = np.unique(codes[codes >= 0])
    if len(present) != 1:
        return []
    return [
        f"All labelled images are of one class, {names[present[0]]}: nothing can be said about "
        "what tells the classes apart."
    ]
