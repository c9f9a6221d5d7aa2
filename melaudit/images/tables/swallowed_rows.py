"""Rows of a text table that an open quotation mark has swallowed.

A cell in quotation marks may go on over several lines. One that is left open takes in every row up
to the next quotation mark, or to the end of the file, and a reader of tables sees one long cell.
So cells of several lines are looked into: when their lines look like rows, the table is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MAX_ROWS = 1000
"""Rows whose cells show how those of each column look. Chosen: a round figure, not measured."""
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Swallowed:
    """A row that goes on over lines which look like rows of their own."""

    first: int
    last: int
    """Its lines in the file, from 1."""


def swallowed_rows(text: str, delimiter: str) -> Swallowed | None:
    """Return the first row of a table that has swallowed others; None where none has.

    text: the table with its header. A comment of several lines is no such row: its lines have
    neither as many cells as the header nor cells that look like those of other rows.
    """
    records = list(_several_lines(text, delimiter))
    if not records:
        return None
    columns, looks = _looks_of_columns(text, delimiter)
    for first, last, record in records:
        if first == 1 and any(delimiter in cell and _LINE_END.search(cell) for cell in record):
            return Swallowed(first, last)  # the header itself
        if len(record) != columns or any(
            _holds_rows(cell, place, columns, delimiter, looks)
            for place, cell in enumerate(record)
            if _LINE_END.search(cell)
        ):
            return Swallowed(first, last)
    return None


def _several_lines(text: str, delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield first line, last line and cells of the rows that go on over several lines."""
    before = 0
    for record, last in _records(text, delimiter):
        if last > before + 1 and any(_LINE_END.search(cell) for cell in record):
            yield before + 1, last, record
        before = last


def _records(text: str, delimiter: str) -> Iterator[tuple[list[str], int]]:
    """Yield each row and the line on which it ends."""
    usual = csv.field_size_limit(len(text) + 1)  # it stands for the whole process
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        for record in reader:
            yield record, reader.line_num
    finally:
        csv.field_size_limit(usual)


def _looks_of_columns(text: str, delimiter: str) -> tuple[int, list[set[str]]]:
    """Return how many columns there are, and how the cells of each look in the first rows."""
    records = _records(text, delimiter)
    columns = len(next(records)[0])
    looks: list[set[str]] = [set() for _ in range(columns)]
    for (record, _), _ in zip(records, range(_MAX_ROWS), strict=False):
        if len(record) == columns:
            for seen, cell in zip(looks, record, strict=True):
                seen.add(_look(_LINE_END.split(cell, 1)[0]))
    return columns, looks


def _holds_rows(
    cell: str, place: int, columns: int, delimiter: str, looks: Sequence[set[str]]
) -> bool:
    """Tell whether a line of a cell looks like a row, or like the rest or the start of one.

    The first line would be the rest of a row from this column on, the last one the start of a row
    up to this column.
    """
    first, *between, last = _LINE_END.split(cell)
    return (
        any(_fits(line, delimiter, looks) for line in (*between, last))
        or _fits(last, delimiter, looks[: place + 1])
        or (place < columns - 1 and _fits(first, delimiter, looks[place:]))
    )


def _fits(line: str, delimiter: str, looks: Sequence[set[str]]) -> bool:
    """Tell whether a line has one cell for each column, each as the cells of its column look.

    One of them must hold a figure or a full stop, as the name of an image does: plain words are
    found in comments too.
    """
    found = [_look(cell) for cell in line.split(delimiter)]
    return (
        len(found) == len(looks)
        and all(look in seen for look, seen in zip(found, looks, strict=True))
        and any("9" in look or "." in look for look in found)
    )


def _look(cell: str) -> str:
    """Return how a cell looks, whatever its letters and digits: "a_9.a" for ISIC_0000150.jpg."""
    plain = cell.strip().strip('"').strip()
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", plain))
