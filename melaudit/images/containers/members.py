"""What a container or an address holds: the images, and what annotations beside them say."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from melaudit.images.files import names_of, stem_of
from melaudit.images.imagefile import SUFFIXES
from melaudit.images.tables.table import Table

_HIDDEN = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True, eq=False)
class Members:
    """Images that are no files of their own."""

    root: str
    """Path of the container, or of the folder of containers, or an address."""
    kind: str
    """Tar shards, HDF5 file or address."""
    sizes: Mapping[str, int]
    """Name of an image, with / -> its size in bytes; 0 where it is not known."""
    places: Mapping[str, str]
    """Name -> the string by which `storage.reading.opened` opens it."""
    table: Table | None = None
    """What annotations beside the images say; its first column, `image`, names them."""

    @functools.cached_property
    def _names(self) -> Mapping[str, str | None]:
        return names_of(self.sizes)

    def place(self, name: str) -> str:
        """Return what `storage.reading.opened` opens for an image."""
        return self.places[name]

    def find(self, name: str) -> tuple[str, int] | str:
        """Return the image that a table names, and its size in bytes, or a reason.

        As in `FileFinder`, the extension and the folder may be left out. An image that has no
        extension itself, as in HDF5, is found by a name that has one. Reasons: missing,
        ambiguous_name (fits several).
        """
        plain = name.replace("\\", "/")
        if plain in self.sizes:
            return plain, self.sizes[plain]
        stem, suffix = stem_of(plain)
        if stem + suffix in self._names:
            found = self._names[stem + suffix]
        else:
            found = self._names.get(stem, "")
            if found and stem_of(found)[1]:
                found = ""
        if found is None:
            return "ambiguous_name"
        return (found, self.sizes[found]) if found else "missing"


def why_not(name: str) -> str | None:
    """Return why a name of a container leads to no image; "" if it is passed over, None if it may.

    What begins with a dot is hidden, as in a folder.
    """
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        return "outside_root"
    if any(part.startswith(".") for part in parts) or parts[-1].lower() in _HIDDEN:
        return "apple_double" if parts[-1].startswith("._") else ""
    return "" if "__macosx" in map(str.lower, parts) else None


def extension(name: str) -> str:
    """Return the extension of an image in a name, in lower case; "" where there is none."""
    return stem_of(name)[1] if stem_of(name)[1] in SUFFIXES else ""
