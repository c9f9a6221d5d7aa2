"""Addresses: places that are named as s3://BUCKET/KEY, where a path could stand.

A setting that is a path holds an address too. `Path` writes two slashes as one, so what was given
is put together again here, and nothing makes such a path absolute.
"""

from __future__ import annotations

import re
from pathlib import Path

from melaudit.errors import DatasetError

PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "https": "aiohttp",
    "http": "aiohttp",
}
"""Scheme -> the package that fsspec needs for it. Other schemes of fsspec lead to other places by
themselves (chains, references), or to programs."""
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
"""Two letters at least: one is a drive of Windows."""


def address_of(path: str | Path) -> str | None:
    """Return the address that was given as a path, without a slash at its end; None for a path.

    Raises DatasetError for a scheme that is not read.
    """
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        return None
    scheme, rest = found[1].lower(), found[2].rstrip("/")
    if scheme not in PACKAGES or "::" in rest:
        raise DatasetError(
            f"{scheme}://{rest} is no address that images are read from; expected a folder, or one "
            f"of {', '.join(f'{name}://' for name in PACKAGES)}"
        )
    return f"{scheme}://{rest}"


def is_address(path: str | Path) -> bool:
    """Tell whether a path is an address, of a scheme that is read or not."""
    return _ADDRESS.fullmatch(str(path)) is not None


def within(folder: Path, path: Path) -> Path:
    """Return a path that is given relative to a folder; an address as it is."""
    return path if is_address(path) else folder / path.expanduser()


def absolute(path: Path) -> Path:
    """Return a path from the root on; an address as it is."""
    return path if is_address(path) else path.expanduser().absolute()
