"""Open an image, wherever its bytes are. Whoever reads one does it here."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from melaudit.images.storage.address import is_address
from melaudit.images.storage.stored import (
    DATASET,
    MAX_BYTES,
    RefusedError,
    Stored,
    open_regular,
)


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[tuple[IO[bytes], bytes]]:
    """Open an image for reading, from its beginning, with the SHA-256 that its content goes by.

    Raises RefusedError or OSError for one that cannot be read, and DatasetError where an address
    does not answer.
    """
    stored = Stored.at(str(path))
    if stored is None:
        with open_regular(path) as file:
            yield file, _digest(file)
        return
    content = _read(stored)
    with io.BytesIO(content) as file:
        yield file, _named(stored) or hashlib.sha256(content).digest()


def content_of(path: str | Path) -> bytes:
    """Return the SHA-256 that an image's content goes by, or nothing where it cannot be read.

    Of an object whose version its address tells, nothing is read. Raises DatasetError where an
    address does not answer.
    """
    stored = Stored.at(str(path))
    if stored is not None and stored.version:
        return _named(stored)
    try:
        with opened(path) as (_, content):
            return content
    except (OSError, ValueError, RefusedError):
        return b""


def _read(stored: Stored) -> bytes:
    if stored.size > MAX_BYTES:
        raise RefusedError("too_large")
    if is_address(stored.container):
        from melaudit.images.storage import remote  # fsspec takes a while to import

        return remote.read(stored)
    if stored.start == DATASET:
        from melaudit.images.storage import hdf5

        return hdf5.read(stored.container, stored.name)
    with open_regular(stored.container, largest=None) as file:
        file.seek(stored.start)
        content = file.read(stored.size)
    if len(content) < stored.size:
        raise RefusedError("truncated")
    if not content:
        raise RefusedError("empty")
    return content


def _named(stored: Stored) -> bytes:
    """Return the SHA-256 of an object's version and of its part that is the image; or nothing."""
    if not stored.version:
        return b""
    return hashlib.sha256(f"{stored.version}\0{stored.start}\0{stored.size}".encode()).digest()


def _digest(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    file.seek(0)
    return digest.digest()
