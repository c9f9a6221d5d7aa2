"""An array in a file without a name, which is looked at without being held in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from melaudit.errors import StoreError
from melaudit.measurements import Array


class LaidOut:
    """An array whose pages come into memory when they are looked at.

    The kernel may take them away again whenever somebody needs the memory, so it may be larger than
    that. The file has no name: it is gone when the process is, however that ends.
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
        """Return the whole array (n, ...), read-only, in a mapping that ends with its last use."""
        shape = (self._rows, *self._shape)
        if 0 in shape:
            return np.empty(shape, self._dtype)
        mapping = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(mapping, self._dtype).reshape(shape)
