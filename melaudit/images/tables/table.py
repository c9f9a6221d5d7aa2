"""Tables: read a CSV, TSV or parquet file of unknown origin into columns of text."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from melaudit.errors import DatasetError
from melaudit.images.files import Omissions
from melaudit.images.imagefile import SUFFIXES
from melaudit.images.tables.swallowed_rows import swallowed_rows
from melaudit.wording.names import visible

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")

_MISSING = {"", "na", "n/a", "nan", "null", "<na>"}
_MAX_BYTES = 2**30
_MAX_CELL = 2**16
"""Size of a file, and of a cell, in bytes and characters. Chosen: round figures, not measured."""
_DELIMITERS = (",", ";", "\t", "|")
_BYTE_ORDER_MARKS = (  # longer ones first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of text; empty cells and "NA" are None."""

    path: Path
    columns: tuple[str, ...]
    """Names as in the file, made unique."""
    data: Any
    """A pyarrow.Table of strings; cheap until a column is read."""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def text(self, column: str) -> tuple[str | None, ...]:
        """Return the cells of a column (n,) without outer blanks; equal cells are one object."""
        pool, places = self._pooled(column)
        return tuple(pool[place] for place in places)

    def values(self, column: str) -> tuple[str | float | None, ...]:
        """Return the cells of a column (n,) as numbers if all of them are, else as visible text.

        Digits with leading zeros are identifiers, not numbers.
        """
        pool, places = self._pooled(column)
        texts = [text for text in pool if text is not None]
        read: Iterator[str | float] = iter(_numbers(texts) or map(visible, texts))
        cells: list[str | float | None] = [None if text is None else next(read) for text in pool]
        return tuple(cells[place] for place in places)

    def _pooled(self, column: str) -> tuple[list[str | None], list[int]]:
        """Return the distinct cells, and the index of each row among them (n,)."""
        encoded = pc.dictionary_encode(
            pc.fill_null(pc.utf8_trim_whitespace(self.data.column(column)), "")
        ).combine_chunks()
        pool = encoded.dictionary.to_pylist()
        if any(len(text) > _MAX_CELL for text in pool):
            raise DatasetError(
                f"column {visible(column)!r} of {self.path} has a cell of more than 64 K characters"
            )
        texts = [None if text.lower() in _MISSING else text for text in pool]
        return texts, encoded.indices.to_pylist()


def read_table(path: Path, omitted: Omissions) -> Table:
    """Read a table; rows with too few or too many cells are counted in `omitted`.

    Text may be UTF-8 or, with a byte order mark, UTF-16 or UTF-32; cells may be separated by
    commas, semicolons, tabs or bars, and may be quoted. Raises DatasetError if the file is not a
    table, is too large, or if a quotation mark left open hides how many rows it has.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DatasetError(f"{path} is larger than 1 GiB; split it, or save it as parquet")
        if path.suffix.lower() in PARQUET_SUFFIXES:
            return _read_parquet(path)
        return _read_text(path, omitted)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read as a table: {error}") from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path} is no readable table: damaged, or a quotation mark left open ({error})"
        ) from error


def _read_text(path: Path, omitted: Omissions) -> Table:
    content, notes = _as_utf8(path)
    head = content[:_MAX_CELL].decode("utf-8", errors="ignore")  # it may end within a character
    delimiter = _delimiter(head)
    header = _first_record(head, delimiter)
    if any(Path(cell.strip().lower()).suffix in SUFFIXES for cell in header):
        raise DatasetError(
            f"{path} has no header: its first line names an image. Add a line with the names of "
            "the columns, such as image,label"
        )
    names = _unique([cell.strip() for cell in header])
    malformed: list[str] = []

    def skip(row: Any) -> str:
        omitted.add("malformed_row", f"line {row.number}" if row.number is not None else row.text)
        malformed.append(row.text)
        return "skip"

    try:
        data = pacsv.read_csv(
            io.BytesIO(content),
            read_options=pacsv.ReadOptions(
                column_names=list(names), skip_rows_after_names=1, use_threads=False
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:  # among others, a cell longer than a block of the file
        _refuse_swallowed_rows(path, content, delimiter)
        raise
    if any(map(_goes_on, (*header, *malformed))) or any(map(_any_goes_on, data.columns)):
        _refuse_swallowed_rows(path, content, delimiter)
    return Table(path, names, data, notes)


def _goes_on(text: str) -> bool:
    """Tell whether a text goes on over several lines."""
    return "\n" in text.strip() or "\r" in text.strip()


def _any_goes_on(column: Any) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, r"[\r\n]")).as_py())


def _refuse_swallowed_rows(path: Path, content: bytes, delimiter: str) -> None:
    """Refuse a table in which a quotation mark left open has made one row of many."""
    found = swallowed_rows(content.decode("utf-8"), delimiter)
    if found is not None:
        raise DatasetError(
            f"{path}: the row that begins in line {found.first} goes on to line {found.last}, over "
            "lines that look like rows of their own. A quotation mark was probably left open: "
            "close it in that line, or write the cell on one line"
        )


def _as_utf8(path: Path) -> tuple[bytes, tuple[str, ...]]:
    content = path.read_bytes()
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    notes: tuple[str, ...] = ()
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DatasetError(f"{path} begins as {encoding} but is not: {error}") from error
        text = content.decode("cp1252", errors="replace")
        notes = (f"{path.name} is not UTF-8; it was read as Windows-1252.",)
    if encoding != "utf-8" or notes:
        content = text.encode("utf-8")
    if b"\0" in content:
        raise DatasetError(
            f"{path} holds NUL characters, so it is not a text table; save it as CSV"
        )
    if not content.strip():
        raise DatasetError(f"{path} is empty; expected a header and a row per image")
    return content.lstrip(b"\r\n"), notes


def _delimiter(head: str) -> str:
    """Return the delimiter that gives most columns in the header; a comma if none gives two."""
    return max(_DELIMITERS, key=lambda d: (len(_first_record(head, d)), d == ","))


def _first_record(head: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(head, newline=None), delimiter=delimiter), [])


def _read_parquet(path: Path) -> Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        described = file.metadata
        size = sum(described.row_group(i).total_byte_size for i in range(described.num_row_groups))
        kept = [field for field in file.schema_arrow if _is_plain(field.type)]
        left = [visible(field.name) for field in file.schema_arrow if not _is_plain(field.type)]
        if size > 4 * _MAX_BYTES and not left:
            raise DatasetError(f"{path} unpacks to more than 4 GiB")
        if not kept:
            raise DatasetError(
                f"{path} has no columns of text or numbers (only {', '.join(left)}); images inside "
                "a table are not read: write them to files and name those"
            )
        read = file.read(columns=[field.name for field in kept])
        read.validate(full=True)  # otherwise text that is not UTF-8 would fail much later
    names = _unique([str(field.name).strip() for field in kept])
    arrays = [_as_text(read.column(i)) for i in range(len(names))]
    notes = (f"Columns of {path.name} that were not read: {', '.join(left)}.",) if left else ()
    return Table(path, names, pa.table(arrays, names=list(names)), notes)


def _is_plain(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_date,
        pa.types.is_timestamp,
    )
    return any(test(kind) for test in tests)


def _as_text(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    return pc.cast(column, pa.string())


def _unique(names: list[str]) -> tuple[str, ...]:
    unique: list[str] = []
    for name in names:
        ways = itertools.chain([name], (f"{name}_{n}" for n in itertools.count(2)))
        unique.append(next(way for way in ways if way not in unique))
    return tuple(unique)


def _numbers(texts: list[str]) -> list[float] | None:
    """Return texts as numbers if all of them are finite numbers, else None."""
    array = pa.array(texts, pa.string())
    if pc.any(pc.match_substring_regex(array, r"^[+-]?0\d")).as_py():
        return None
    try:
        numbers = pc.cast(array, pa.float64())
    except pa.ArrowInvalid:
        return None
    return list(numbers.to_pylist()) if pc.all(pc.is_finite(numbers)).as_py() else None
