"""Foreign text in Markdown: shown as it is, never obeyed.

A file may be called `![](http://...)`, `@everyone`, `<img onerror>`, `a | b` or `::set-output::`;
in a build's summary each of these would do something. Such characters are written as
entities, which look the same, and an invisible comment keeps mentions and links from being
recognised.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from melaudit.wording.figures import NBSP
from melaudit.wording.names import visible_as_code_points

_ACTS = str.maketrans(
    {
        **{c: f"\\{c}" for c in "\\*[]#~!"},  # emphasis, links, headings, pictures
        **{c: f"&#{ord(c)};" for c in "`{}|$"},  # code, templates, tables, maths
        "<": "&lt;",
        ">": "&gt;",
        "&": "&amp;",
        "@": "&#64;<!-- -->",  # or a mention notifies somebody
        ":": "&#58;<!-- -->",  # or a bare address becomes a link, two colons a command
    }
)
_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Inside a word it is no emphasis."""
_START = re.compile(r"[-+=]|\d+[.)](\s|$)")
"""What makes a list, a rule or a heading at the start of a line."""


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    shown = visible_as_code_points(text).replace(NBSP, " ").translate(_ACTS)
    shown = _UNDERSCORE.sub(r"\\_", shown)
    return f"<!-- -->{shown}" if _START.match(shown) else shown


def prose(text: str) -> str:
    """Escape a sentence of ours that may hold foreign names; colons before a space stay."""
    return escaped(text).replace("&#58;<!-- --> ", ": ")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; its cells must be escaped already."""
    head = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows)]


def yaml_text(text: str) -> str:
    """Return a text as a double-quoted YAML scalar of printable ASCII."""
    out = []
    for c in visible_as_code_points(text):
        if c in '"\\':
            out.append(f"\\{c}")
        elif c.isascii() and c.isprintable():
            out.append(c)
        else:
            code = ord(c)
            out.append(f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}")
    return f'"{"".join(out)}"'
