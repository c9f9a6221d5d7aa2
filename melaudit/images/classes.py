"""Classes: from the names in the data to the indices of the model's outputs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from melaudit.errors import DatasetError
from melaudit.regular_file import read_regular
from melaudit.wording.names import visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class UnnamedClassesError(DatasetError):
    """Classes of the data that the user's list does not name."""


NAME_FILES = (".txt", ".json")
"""Suffixes of the files that class names are read from."""
_MAX_NAMES_BYTES = 2**24
"""Of such a file. Chosen: a round figure; 21,000 names of ImageNet take half a megabyte."""
_NUMBER = re.compile(r"[+-]?[0-9]+")


def read_names(path: Path) -> tuple[str, ...]:
    """Read class names in the order of the model's outputs.

    A text file has one name a line; JSON is a list of names, or leads from an index to a name, as
    {"0": "tench"} or {"0": ["n01440764", "tench"]}, or from a name to an index. Where names repeat,
    as two do among the 1,000 of ImageNet, the index is added to each: "crane (134)".

    Raises DatasetError for a file that cannot be read, or holds no such names.
    """
    try:
        text = read_regular(path, _MAX_NAMES_BYTES).decode("utf-8-sig")
        if path.suffix.lower() == ".json":
            names = _names_of(json.loads(text))
        else:
            names = [line.strip() for line in text.rstrip().splitlines()]
    except OSError as error:
        raise DatasetError(
            f"--classes {path} cannot be read ({error.strerror or error}); name a file with one "
            "class a line, or give the names themselves: a,b,c"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"--classes {path} holds no class names ({error}); expected one name a line, or JSON: "
            'a list of names, or {"0": "name"}'
        ) from error
    if not names or not all(names):
        raise DatasetError(
            f"--classes {path} has no name for output {len(names) and names.index('')}"
        )
    counts = Counter(names)
    return tuple(f"{n} ({i})" if counts[n] > 1 else n for i, n in enumerate(names))


def _names_of(content: object) -> list[str]:
    """Return the names in JSON; ValueError for JSON of another kind."""
    if isinstance(content, Mapping):
        by_index = {}
        for key, value in content.items():
            backwards = isinstance(value, int)
            index = value if isinstance(value, int) else int(key)
            by_index[index] = key if backwards else value
        if set(by_index) != set(range(len(content))):
            raise ValueError(f"its indices are not 0 to {len(content) - 1}")
        content = [by_index[i] for i in range(len(content))]
    if not isinstance(content, list):
        raise ValueError(f"it is {type(content).__name__}")
    names = [each[-1] if isinstance(each, list) and each else each for each in content]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("some names are no text")
    return [name.strip() for name in names]


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
                f"--classes {_listed(names)} has an empty or repeated name; expected one name per "
                "output of the model"
            )
        index, notes = _matched(found, names, set(labels))
    import numpy as np  # not above: settings read names of classes too, and need no numpy

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
        f"{_listed(names)}. Name every class of the data, in the order of the model's outputs"
    )


def one_class(codes: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Note that all images with a label, by codes (n,), are of one class."""
    present = {int(code) for code in codes if code >= 0}
    if len(present) != 1:
        return []
    return [
        f"All labelled images are of one class, {names[present.pop()]}: nothing can be said about "
        "what tells the classes apart."
    ]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + " ..." * (len(names) > 12)
