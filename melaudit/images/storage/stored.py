"""Where the bytes of an image are: a file, a part of a file, or an object behind an address.

An audit names each image by one string. That of a file is its path; any other is what `Stored`
holds, joined by NUL, which no path can have.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_BYTES = 2**30
"""Of one image. Chosen: a round figure, not measured."""
DATASET = -1
"""Instead of a place in the file: a dataset of HDF5 that does not lie there as it is."""
_SEPARATOR = "\0"
_O_BINARY = getattr(os, "O_BINARY", 0)


class RefusedError(Exception):
    """An image that is not read, and why."""

    def __init__(self, reason: str, size: tuple[int, int] | None = None) -> None:
        super().__init__(reason)
        self.reason, self.size = reason, size


@dataclass(frozen=True)
class Stored:
    """An image that is no file of its own."""

    container: str
    """Path of the file, or address of the object."""
    name: str
    """The image's name within it; "" for an object that is the image."""
    start: int = 0
    """Where it begins in the container, in bytes; `DATASET` where HDF5 has to be asked."""
    size: int = 0
    """In bytes; 0 for an object that is the image, whatever it holds."""
    version: str = ""
    """What tells the content of an object from another (ETag), where its address says it."""

    def __str__(self) -> str:
        fields = (self.container, self.name, str(self.start), str(self.size), self.version)
        return _SEPARATOR.join(fields)

    @classmethod
    def at(cls, path: str) -> Stored | None:
        """Return what such a string holds; None for the path of a file."""
        if _SEPARATOR not in path:
            return None
        container, name, start, size, version = path.split(_SEPARATOR)
        return cls(container, name, int(start), int(size), version)


def shown(path: str) -> str:
    """Return a name for messages: a path, or those of a container and of the image within it."""
    stored = Stored.at(path)
    if stored is None:
        return path
    return f"{stored.container}/{stored.name}" if stored.name else stored.container


def suffix_of(path: str | Path) -> str:
    """Return the extension of an image's name, in lower case."""
    stored = Stored.at(str(path))
    return Path(path if stored is None else stored.name or stored.container).suffix.lower()


def open_regular(path: str | Path, largest: int | None = MAX_BYTES) -> IO[bytes]:
    """Open a regular file; opening a pipe in the usual way would wait for its writer forever.

    Raises RefusedError for anything else, an empty file and one of more than `largest` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _O_BINARY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("not_a_file")
        if status.st_size == 0:
            raise RefusedError("empty")
        if largest is not None and status.st_size > largest:
            raise RefusedError("too_large")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
