"""Marks: columns of 0 and 1, and lists in cells, that say which labels an image has.

Where exactly one column is marked for each image, they are classes (one-hot); else several labels
may hold of an image (multi-label).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from melaudit.images.tables.table import Table
from melaudit.wording.names import visible
from melaudit.wording.sentences import many

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
SEPARATOR = "|"
"""Between the labels of one image in one cell, as in the table of NIH ChestX-ray14."""
_NONE = {"nofinding", "none", "normal"}
"""Names, as `plain_name` writes them, that say of an image that it has no label."""
_MARKS = {"1": PRESENT, "1.0": PRESENT, "0": ABSENT, "0.0": ABSENT}
_UNCERTAIN = ("-1", "-1.0")
"""What CheXpert and MIMIC-CXR write where a reader was not sure."""
_ISIC_2017 = {"melanoma", "seborrheickeratosis"}
"""The columns of the ISIC challenge of 2017, where neither marked means a nevus."""
_MAX_NAMED = 12

Marked = tuple[dict[str, tuple[int, ...]], tuple[str, ...]]
"""Label -> (n,) `PRESENT`, `ABSENT` or `UNKNOWN`, and notes."""


def marks_of_columns(columns: Mapping[str, Sequence[str | None]]) -> Marked | None:
    """Read the columns (name -> n cells) that hold 0 and 1 alone; None for fewer than two.

    Empty cells are unknown, and so is -1, which means "uncertain" in tables of chest X-rays.
    """
    known = {*_MARKS, *_UNCERTAIN, None}
    marked = {
        name: tuple(_MARKS.get(cell or "", UNKNOWN) for cell in cells)
        for name, cells in columns.items()
        if set(cells) <= known and not {"0", "1", "0.0", "1.0"}.isdisjoint(set(cells))
    }
    if len(marked) < 2:
        return None
    notes = [f"Columns of 0 and 1 can be labels of which several hold: {_listed(marked)}."]
    uncertain = sum(cell in _UNCERTAIN for name in marked for cell in columns[name])
    if uncertain:
        notes.append(f"{many(uncertain, 'label')} of -1, uncertain: counted as unknown.")
    return marked, tuple(notes)


def marks_of_lists(cells: Sequence[str | None]) -> Marked | None:
    """Read cells (n,) that list labels, as A|B; None where no cell lists several.

    A name such as "No Finding" says that an image has none of them.
    """
    if not any(SEPARATOR in cell for cell in cells if cell):
        return None
    listed = [
        None if cell is None else {visible(name.strip()) for name in cell.split(SEPARATOR)}
        for cell in cells
    ]
    found = sorted({name for names in listed if names for name in names if name})
    names = [name for name in found if plain_name(name) not in _NONE]
    none = [name for name in found if name not in names]
    marked = {
        name: tuple(UNKNOWN if each is None else int(name in each) for each in listed)
        for name in names
    }
    notes = [f"Cells list labels of which several may hold: {_listed(marked)}."]
    if none:
        notes.append(f"{_listed(none)} is taken for none of them.")
    return marked, tuple(notes)


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:_MAX_NAMED]) + " ..." * (len(shown) > _MAX_NAMED)


def plain_name(name: str) -> str:
    """Return what spellings of a name have in common: letters and digits in lower case."""
    return re.sub(r"[\W_]+", "", name.casefold())


def one_hot_columns(table: Table, aside: Collection[str]) -> list[str]:
    """Return the columns that hold only 0 and 1, if they mark one class per image.

    Columns of `aside` are not looked at.
    """
    hot = [
        column
        for column in table.columns
        if column not in aside and _is_binary(set(table.text(column)))
    ]
    if len(hot) < 2:
        return []
    if _plain_set(hot) == _ISIC_2017:
        return hot
    sums = Counter(_row_sums(table, hot))
    several = sum(n for total, n in sums.items() if total > 1)
    return hot if sums[1] > len(table) / 2 and several <= _MAX_SEVERAL * len(table) else []


_MAX_SEVERAL = 0.2
"""Share of rows with several classes marked up to which columns of 0 and 1 are one-hot, with faults
in some rows. Chosen: a round figure, not measured."""


def _plain_set(columns: Sequence[str]) -> set[str]:
    return {plain_name(column) for column in columns}


def _is_binary(cells: set[str | None]) -> bool:
    return cells <= {"0", "1", "0.0", "1.0", None} and cells != {None}


def _row_sums(table: Table, columns: Sequence[str]) -> list[int]:
    return [sum(row) for row in zip(*_hot_cells(table, columns), strict=True)]


def _hot_cells(table: Table, columns: Sequence[str]) -> list[list[bool]]:
    return [[cell in ("1", "1.0") for cell in table.text(column)] for column in columns]


def one_hot(
    table: Table, columns: Sequence[str]
) -> tuple[
    tuple[str | None, ...], tuple[str, ...], dict[int, str], tuple[str, ...], tuple[str, ...]
]:
    """Read one-hot columns: labels (n,), classes, refused rows and why, notes, notes on order."""
    neither = "nevus" if _plain_set(columns) == _ISIC_2017 else None
    names = [visible(column) for column in columns]
    labels: list[str | None] = []
    refused: dict[int, str] = {}
    for row, cells in enumerate(zip(*_hot_cells(table, columns), strict=True)):
        total = sum(cells)
        label = names[cells.index(True)] if total == 1 else neither if total == 0 else None
        if label is None:
            refused[row] = "no_class_marked" if total == 0 else "several_classes_marked"
        elif plain_name(label) in ("unk", "unknown"):
            refused[row], label = "unknown_class", None
        labels.append(label)
    classes = [name for name in names if plain_name(name) not in ("unk", "unknown")]
    if neither is not None:
        nevi = "Images with neither class marked are nevi, as in the ISIC challenge of 2017."
        return tuple(labels), tuple(sorted([*classes, neither])), refused, (nevi,), ()
    order = "The order of the classes is that of the table's columns."
    return tuple(labels), tuple(classes), refused, (), (order,)
