"""Datasets of HDF5 that do not lie in their file as they are, but in chunks or in its header."""

from __future__ import annotations

import functools
from typing import Any

from melaudit.images.storage.stored import RefusedError


def read(path: str, name: str) -> bytes:
    """Return the bytes of a dataset that lies in chunks or in the header.

    Raises RefusedError for one that cannot be read.
    """
    try:
        dataset = _file(path)[name]
        value = dataset[()]
    except Exception as error:  # the library raises many kinds for a damaged file
        raise RefusedError("damaged") from error
    content: bytes = value.tobytes() if hasattr(value, "tobytes") else bytes(value)
    if not content:
        raise RefusedError("empty")
    return content


@functools.lru_cache(4)
def _file(path: str) -> Any:
    import h5py

    return h5py.File(path, "r")
