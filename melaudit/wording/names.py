"""Foreign names made fit to be shown."""

from __future__ import annotations

import unicodedata


def visible(name: str) -> str:
    r"""Return a name that shows what it is: \u202e, \x80, \n for what is invisible or no text.

    Different names stay different, and plain ones stay as they are.
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
