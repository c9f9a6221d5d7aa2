"""An array in a file without a name, which is looked at without being held in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from melaudit.errors import StoreError
from melaudit.measurements import Array

HELD = 64 * 2**20
"""Bytes of one array that stay in memory, at most, while its rows are taken. Chosen, not measured.
"""
AROUND = 2**16
"""Bytes that come into memory with one row: Linux maps 16 pages at a time (fault_around_bytes)."""


class LaidOut:
    """An array whose pages come into memory when they are looked at, and go when rows were taken.

    So it may be larger than memory. The file has no name: it is gone when the process is, however
    that ends.
    """

    def __init__(self, folder: Path, chunks: Iterable[Array]) -> None:
        """Write the chunks (m, ...), at least one, one after another into a file in `folder`.

        Raises StoreError when the folder cannot be written or is full.
        """
        self._rows = 0
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # kept open
            for chunk in chunks:
                # Not through a mapping: a full disk would end the process there.
                self._file.write(np.ascontiguousarray(chunk).data)
                self._rows += len(chunk)
                self._dtype, self._shape = chunk.dtype, chunk.shape[1:]
            self._file.flush()
        except OSError as error:
            raise StoreError(
                f"columns cannot be laid out in {folder}: {error.strerror or error}; free space "
                "there, and run the same command again: what is finished is kept"
            ) from error

    def array(self) -> Array:
        """Return the whole array (n, ...), read-only, in a mapping that ends with its last use.

        Whoever takes rows of it, by index or by slice, holds `HELD` bytes of the file at most.
        """
        shape = (self._rows, *self._shape)
        if 0 in shape:
            return np.empty(shape, self._dtype)
        mapping = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        whole = np.frombuffer(mapping, self._dtype).reshape(shape).view(_Mapped)
        whole.mapping = mapping
        return whole


class _Mapped(np.ndarray[Any, Any]):
    """An array in a mapping, which gives its pages back after rows were taken.

    The kernel would, too, but only once memory is short. A view that is still in use reads its
    pages again.
    """

    mapping: mmap.mmap | None = None
    """None for what was computed from such an array."""
    _touched = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if not isinstance(found, np.ndarray):
            return found
        if self.mapping is not None:
            runs = 1 if isinstance(key, int | slice) else len(found)
            self._touched += found.nbytes + runs * AROUND
            if self._touched > HELD:
                self._touched = 0
                if hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
                    self.mapping.madvise(mmap.MADV_DONTNEED)
        return found.view(np.ndarray)
