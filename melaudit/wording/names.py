"""Names that others gave, made fit to be shown.

They come from files and class lists that anybody may have written. What could hide or reorder text
(control, bidirectional and zero-width characters, lone surrogates) is made visible, so that neither
a terminal nor a browser obeys it: as an escape in messages (`visible`), as a code point in reports
(`visible_as_code_points`).
"""

from __future__ import annotations

import csv
import io
import re
import shlex
import unicodedata
from collections.abc import Sequence

ELLIPSIS = "\u2026"

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What begins a formula, in ASCII and full width: some spreadsheets take both."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(name: str) -> str:
    r"""Return a name with \u202e, \x80 or \n for what is invisible or no text; for messages.

    Different names stay different (so a backslash is doubled), and plain ones stay as they are.
    """
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name
    return "".join(map(_visible_character, name))


def _visible_character(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return r"\\"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as the file system's names carry it
        return f"\\x{code - 0xDC00:02x}"
    if character == " " or unicodedata.category(character)[0] not in "CZ":
        return character
    if code < 0x80:
        return repr(character)[1:-1]
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_as_code_points(text: str) -> str:
    """Return `text` with every character that would hide or act as \u27e8U+202E\u27e9; for reports.

    All else stays, spaces that keep words together too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\u27e8U+{ord(c):04X}\u27e9" if unicodedata.category(c) in _HIDDEN else c for c in text
    )


def safe_cell(text: str) -> str:
    """Return a text as a cell of a CSV file that no spreadsheet runs as a formula.

    Such a cell gets an apostrophe in front (OWASP, CSV injection).
    """
    shown = visible_as_code_points(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def name(text: str, limit: int = 64) -> str:
    """Return a foreign name as reports show it: visible, on one line, its middle cut if long."""
    shown = visible_as_code_points(text)
    if len(shown) <= limit:
        return shown
    tail = limit // 3
    return f"{shown[: limit - tail - 1]}{ELLIPSIS}{shown[-tail:]}"


def as_option(names: Sequence[str]) -> str:
    """Return names as an option of the command line takes a list: a,b,"c, d", quoted for a shell.

    A name with a comma or a quotation mark is in quotation marks, as in a CSV file.
    """
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(names)
    return shlex.quote(written.getvalue())


def measure(identifier: str) -> str:
    """Return what a measure of performance is called: "auc" as "area under the ROC curve"."""
    titles = {"auc": "area under the ROC curve", "calibration_error": "calibration error"}
    return titles.get(identifier, identifier)


def human(identifier: str) -> str:
    """Return an identifier in words: "dark_ring" as "dark ring", "a.b" as "a: b"."""
    words = re.sub(r"(?<=[a-z])\.(?=[a-z])", ": ", name(identifier).replace("_", " "))
    return re.sub(r"\bjpeg\b", "JPEG", words)
