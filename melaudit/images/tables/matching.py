"""Rows of a table, matched with the images that they name."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from melaudit.images.files import Omissions
from melaudit.images.tables.annotations import Annotations
from melaudit.wording.names import visible


class Finder(Protocol):
    """Finds the images that a table names, and says how each is opened."""

    @property
    def root(self) -> str:
        """The real path of the folder or container in which they lie, or an address."""
        ...

    @property
    def kind(self) -> str:
        """What that is; "" for a folder."""
        ...

    def place(self, name: str) -> str:
        """Return what `storage.reading.opened` opens for the name of an image."""
        ...

    def find(self, name: str) -> tuple[str, int] | str:
        """Return an image's name, relative to where all lie, and its size in bytes, or a reason."""
        ...


class ImageRow(NamedTuple):
    """One image; it sorts by id."""

    id: str
    name: str
    size: int
    label: str | None


def matched_rows(
    annotations: Annotations, finder: Finder, omitted: Omissions
) -> list[tuple[ImageRow, int]]:
    """Return the images that a table names, sorted by id, each with its row in the table."""
    matched: dict[str, tuple[ImageRow, int]] = {}
    conflicting: set[str] = set()
    for place, name in enumerate(annotations.names):
        shown = name or f"row {place + 1}"
        hit: tuple[str, int] | str | None = annotations.refused.get(place)
        hit = hit or (finder.find(name) if name else "no_image_named")
        if isinstance(hit, str):
            omitted.add(hit, shown)
            continue
        file, size = hit
        label = annotations.labels[place] if annotations.labels else None
        if annotations.marks:  # no class: rows of one image must agree in all of them
            label = "".join(str(marks[place]) for marks in annotations.marks.values())
        if file not in matched:
            matched[file] = ImageRow(visible(file), file, size, label), place
        elif label == matched[file][0].label:
            omitted.add("repeated_row", shown)
        else:
            omitted.add("conflicting_labels", shown)
            conflicting.add(file)
    for file in conflicting:  # neither label can be trusted
        omitted.add("conflicting_labels", file)
        del matched[file]
    return sorted(matched.values())
