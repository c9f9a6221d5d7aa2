"""Reading a file of unknown origin whole: it must be a regular file, and of a bounded size."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path, max_bytes: int, within: Path | None = None) -> bytes:
    """Return the content of a file of at most `max_bytes`.

    A pipe, a device or a folder is refused at once: opening a pipe in the usual way would wait for
    its writer for ever. With `within`, so is a link that leads out of that folder.

    Raises ValueError, saying what was expected, for anything but such a file, and OSError.
    """
    if within is not None and not _lies_in(path, within):
        raise ValueError(f"it is a link that leads out of {within}; expected a file")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is a folder, a pipe or a device; expected a file")
        if status.st_size > max_bytes:
            raise ValueError(f"it is larger than {max_bytes // 2**20} MiB")
        return file.read(max_bytes)


def _lies_in(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
