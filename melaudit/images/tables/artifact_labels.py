"""Artifact labels: a table in which a person noted which images show which artifact."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.registry import aliases
from melaudit.errors import DatasetError
from melaudit.images.files import Omissions, names_of, stem_of
from melaudit.images.tables.annotations import column_of_images
from melaudit.images.tables.table import Table, read_table
from melaudit.wording.names import visible

YES = ("1", "1.0", "yes", "true", "y", "t")
NO = ("0", "0.0", "no", "false", "n", "f")

Codes = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class ArtifactLabels:
    """The artifact labels of n images."""

    columns: Mapping[str, Codes]
    """Artifact -> (n,): 1 if the image shows it, 0 if it does not, -1 if unknown."""
    notes: tuple[str, ...]


def read_artifact_labels(path: Path, ids: Sequence[str], known: Collection[str]) -> ArtifactLabels:
    """Read a table with a column of image names and a column of 0 and 1 for each artifact.

    `ids` are the n images, `known` the ids of the artifacts that have finders. A column is matched
    to one of them by name; other columns keep their own name. Raises DatasetError if the table has
    no such column, two columns stand for one artifact, or no row names one of the images.
    """
    omitted = Omissions()
    if not path.is_file():
        raise DatasetError(
            f"the table of artifact labels {path} does not exist; give another --artifact-labels"
        )
    table = read_table(path, omitted)
    names = column_of_images(table)
    columns, others = _columns(table, names, known)
    rows = _rows(table.text(names), ids, omitted)
    if not rows:
        raise DatasetError(
            f"none of the {len(table)} rows of {path} names an image of the data ({omitted}); its "
            f"column {visible(names)!r} must hold names such as {', '.join(ids[:3])}"
        )
    spread = {name: _spread(codes, rows, ids, omitted) for name, codes in columns.items()}
    notes = [
        f"{path.name} says of {len(set(rows.values()))} of {len(ids)} images which of "
        f"{', '.join(columns)} they show."
    ]
    if others:
        notes.append(
            f"Columns of {path.name} that hold more than 0 and 1 are no artifact labels: "
            f"{', '.join(map(visible, others))}."
        )
    if omitted.counts:
        notes.append(f"Rows of {path.name} that were not used: {omitted}.")
    return ArtifactLabels(spread, tuple(notes))


def recognised(column: str, known: Collection[str], named: Mapping[str, str]) -> str:
    """Return the artifact that a column names, or the name of the column as it can be shown.

    `named` is alias -> artifact; see `melaudit.artifacts.registry.aliases`.
    """
    plain = re.sub(r"[\W_]+", "", column.casefold())
    for name in known:
        if plain == name.replace("_", "") or named.get(plain) == name:
            return name
    return visible(column)


def _columns(
    table: Table, names: str, known: Collection[str]
) -> tuple[dict[str, list[int]], list[str]]:
    """Return artifact -> one code per row, and the columns that are not artifact labels."""
    found: dict[str, list[int]] = {}
    source: dict[str, str] = {}
    others = []
    named = aliases()
    for column in table.columns:
        if column == names:
            continue
        codes = _codes(table.text(column))
        if codes is None:
            others.append(column)
            continue
        name = recognised(column, known, named)
        if name in found:
            raise DatasetError(
                f"columns {visible(source[name])!r} and {visible(column)!r} of {table.path} both "
                f"stand for {name}; leave one of them out"
            )
        found[name], source[name] = codes, column
    if not found:
        raise DatasetError(
            f"{table.path} has no column of artifact labels (0 and 1, one column per artifact); "
            f"it has {', '.join(map(visible, table.columns))}"
        )
    return found, others


def _codes(cells: Sequence[str | None]) -> list[int] | None:
    """Return 1, 0, or -1 for an empty cell; None if a cell is anything else, or all are empty."""
    folded = {cell: (cell or "").casefold() for cell in set(cells)}
    if set(folded) == {None} or not folded:
        return None
    if any(cell is not None and text not in (*YES, *NO) for cell, text in folded.items()):
        return None
    code = {cell: -1 if cell is None else int(text in YES) for cell, text in folded.items()}
    return [code[cell] for cell in cells]


def _rows(names: Sequence[str | None], ids: Sequence[str], omitted: Omissions) -> dict[int, int]:
    """Return row of the table -> index of the image, for the rows that name one of the images."""
    ways, place = names_of(ids), {identity: i for i, identity in enumerate(ids)}
    found: dict[int, int] = {}
    for row, cell in enumerate(names):
        name = visible((cell or "").replace("\\", "/"))
        keys = ("".join(stem_of(name)), "".join(stem_of(name.rpartition("/")[2])))
        key = next((k for k in keys if k in ways), None)
        if not name or key is None:
            omitted.add("not_an_image_of_the_data" if name else "no_image_named", name)
            continue
        identity = ways[key]
        if identity is None:
            omitted.add("ambiguous_name", name)
        else:
            found[row] = place[identity]
    return found


def _spread(
    codes: Sequence[int], rows: Mapping[int, int], ids: Sequence[str], omitted: Omissions
) -> Codes:
    """Bring the codes of a column into the order of the images; contradicting rows give -1."""
    said: dict[int, set[int]] = {}
    for row, image in rows.items():
        if codes[row] >= 0:
            said.setdefault(image, set()).add(codes[row])
    out = np.full(len(ids), -1, np.int8)
    for image, values in said.items():
        if len(values) == 1:
            out[image] = values.pop()
        else:
            omitted.add("contradicting_rows", ids[image])
    return out
