"""Tables of unusual and hostile content."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from melaudit.images.dataset import open_dataset
from tests.hostile.case import Case

ROWS = "".join(f"{i:03}.jpg,{'ab'[i % 2]}\n" for i in range(20))
PLAIN = "image,label\n" + ROWS


def opened(content: bytes, expected: int, suffix: str, folder: Path) -> str:
    """Open a table beside its 20 images: "used" if it has as many as expected."""
    for i in range(20):
        (folder / f"{i:03}.jpg").write_bytes(b"pixels")
    path = folder / f"table{suffix}"
    path.write_bytes(content)
    found = open_dataset(path)
    if any("passwd" in p or ".." in p for p in found.paths):
        return "escaped"
    lost = sum(found.skipped.values())
    if len(found) != expected:
        return f"lost: {len(found)} images, {lost} skipped"
    return f"counted: {lost} skipped" if lost else "used"


def cases() -> Iterator[Case]:
    """Yield every case about tables."""
    for name, content, images, *expected in _TEXTS:
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        yield Case("table", name, partial(opened, data, images, ".csv"), tuple(expected))
    whole = _parquet()
    files: list[tuple[Any, ...]] = [
        ("parquet", whole, "used"),
        ("parquet cut in half", whole[: len(whole) // 2], "refused"),
        ("parquet of NUL bytes", b"PAR1" + bytes(100) + b"PAR1", "refused"),
        ("parquet with a footer of 2**31 bytes", whole[:-8] + b"\xff\xff\xff\x7fPAR1", "refused"),
        ("CSV named parquet", PLAIN.encode(), "refused"),
    ]
    for name, data, *expected in files:
        yield Case("table", name, partial(opened, data, 20, ".parquet"), tuple(expected))


def _parquet() -> bytes:
    buffer = io.BytesIO()
    names = [f"{i:03}.jpg" for i in range(20)]
    pq.write_table(pa.table({"image": names, "label": ["a", "b"] * 10}), buffer)
    return buffer.getvalue()


def with_row(row: str) -> str:
    """Return the table with one more row."""
    return PLAIN + row + "\n"


_TEXTS: list[tuple[Any, ...]] = [
    ("plain", PLAIN, 20, "used"),
    ("semicolons", PLAIN.replace(",", ";"), 20, "used"),
    ("tabs", PLAIN.replace(",", "\t"), 20, "used"),
    ("Windows line ends", PLAIN.replace("\n", "\r\n"), 20, "used"),
    ("old Mac line ends", PLAIN.replace("\n", "\r"), 20, "used"),
    ("UTF-8 with a byte order mark", PLAIN.encode("utf-8-sig"), 20, "used"),
    ("UTF-16", PLAIN.encode("utf-16"), 20, "used"),
    ("UTF-32", PLAIN.encode("utf-32"), 20, "used"),
    ("empty", b"", 0, "refused"),
    ("blank lines only", b"\n\n \n", 0, "refused"),
    ("a header only", "image,label\n", 0, "refused"),
    ("no header", ROWS, 0, "refused"),
    ("NUL", with_row("a\0.jpg,a"), 0, "refused"),
    ("UTF-16 that breaks off", PLAIN.encode("utf-16")[:-1], 0, "refused"),
    ("a cell of 10 MB", with_row("x" * 10**7 + ",a"), 0, "refused"),
    (
        "10,000 columns without an image",
        ",".join(f"c{i}" for i in range(10_000)) + "\n" + "," * 9_999 + "\n",
        0,
        "refused",
    ),
    ("a quotation mark left open", PLAIN.replace("005.jpg", '"005.jpg'), 0, "refused"),
    (
        "a quotation mark left open in a label",
        PLAIN.replace("005.jpg,b", '005.jpg,"b'),
        0,
        "refused",
    ),
    (
        "a quotation mark open over two rows",
        PLAIN.replace("005.jpg,b\n006.jpg,a", '005.jpg,"b\n006.jpg,a"'),
        0,
        "refused",
    ),
    (
        "a comment of two lines",
        "image,label,note\n"
        + ROWS.replace("\n", ",\n").replace("005.jpg,b,", '005.jpg,b,"one\ntwo"'),
        20,
        "used",
    ),
    ("a formula as a name", with_row("=cmd|' /C calc'!A0,a"), 20, "counted"),
    ("../../etc/passwd", with_row("../../../../etc/passwd,a"), 20, "counted"),
    ("/etc/passwd", with_row("/etc/passwd,a"), 20, "counted"),
    ("/etc/passwd as an image", with_row("/etc/passwd.jpg,a"), 20, "counted"),
    ("file:///etc/passwd", with_row("file:///etc/passwd,a"), 20, "counted"),
    ("https://", with_row("https://example.org/a.jpg,a"), 20, "counted"),
    ("pipe:", with_row("pipe:touch canary,a"), 20, "counted"),
    ("a name of 5,000 letters", with_row("x" * 5000 + ".jpg,a"), 20, "counted"),
    ("a row too short", with_row("a.jpg"), 20, "counted"),
    ("a row too long", with_row("a.jpg,a,b,c"), 20, "counted"),
    ("the same row twice", with_row("000.jpg,a"), 20, "counted"),
    ("two labels for one image", with_row("000.jpg,b"), 19, "counted"),
    ("a label of HTML", PLAIN.replace(",b", ",<script>x()</script>"), 20, "used"),
    ("a label of ANSI", PLAIN.replace(",b", ",\x1b[2Jb"), 20, "used"),
    ("a label that turns text round", PLAIN.replace(",b", ",\u202eb"), 20, "used"),
    ("a label of a template", PLAIN.replace(",b", ",{{7*7}}"), 20, "used"),
    ("a label of 60,000 letters", PLAIN.replace(",b", "," + "b" * 60_000), 20, "used"),
]
