"""Annotations: recognise what the columns of a table of images mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from melaudit.choices import Task
from melaudit.errors import DatasetError
from melaudit.images.imagefile import SUFFIXES
from melaudit.images.tables.marks import (
    marks_of_columns,
    marks_of_lists,
    one_hot,
    one_hot_columns,
    plain_name,
)
from melaudit.images.tables.table import Table
from melaudit.wording.names import visible
from melaudit.wording.sentences import many

IMAGE_COLUMNS = (
    *("image_path", "img_path", "filepath", "file_path", "path", "filename", "file_name", "file"),
    *("image_file", "image", "image_name", "image_id", "isic_id", "img_id", "img", "name", "id"),
)
LABEL_COLUMNS = (
    *("label", "labels", "target", "class", "class_name", "dx", "diagnosis", "diagnostic"),
    *("benign_malignant", "category", "ground_truth", "y", "finding_labels"),
    *("diagnosis_1", "diagnosis_2"),
    *("diagnosis_3", "diagnosis_4", "diagnosis_5", "three_partition_label"),
    "nine_partition_label",
)
METADATA_COLUMNS = {
    "patient_id": ("patient_id", "patient"),
    "lesion_id": ("lesion_id", "lesion"),
    "site": (
        *("site", "anatom_site_general_challenge", "anatom_site_general", "anatomical_site"),
        *("localization", "location", "body_site", "anatom_site", "region"),
    ),
    "sex": ("sex", "gender"),
    "age": ("age", "age_approx", "age_approximate"),
    "source": ("source", "dataset", "attribution", "institution", "hospital"),
}
"""Our key -> the names that tables use for it, the best first; case and punctuation are ignored."""

_IDENTIFIERS = ("patient_id", "lesion_id")
_MAX_OFFERED = 50
"""Different words up to which a column is offered as one of labels."""
_SAMPLE = 200
"""Rows that tell whether a column leads to files. Chosen: round figures, not measured."""
_MAX_CLASSES = 1000
"""Different labels from which a column may be something other than classes. Chosen: a round
figure, not measured."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """What a table says about its n images."""

    kind: str
    names: tuple[str | None, ...]
    """(n,) cells of the image column; None where it is empty."""
    labels: tuple[str | None, ...] | None
    """(n,) class names, None where a cell is empty; None as a whole if there are no labels."""
    classes: tuple[str, ...]
    """The class names that occur, in the order of the table."""
    metadata: Mapping[str, str]
    """Our key -> the name of the column; `cells` reads it."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Row -> why its label cannot be used."""
    marks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Label -> (n,) 1 where an image has it, 0 where not, -1 where it is unknown: what a table says
    of which several may hold of an image."""
    notes: tuple[str, ...] = ()
    order_notes: tuple[str, ...] = ()
    """On the order of `classes`, for those who take it as it is."""


def interpret(
    table: Table,
    image_column: str | None = None,
    label_column: str | None = None,
    leads_to_file: Callable[[str], bool] | None = None,
    task: Task = Task.AUTO,
) -> Annotations:
    """Recognise the columns of a table: image, label or one-hot classes, patient, site and so on.

    `image_column` and `label_column` are the user's own choices. `leads_to_file` tells whether a
    cell names an image file that is there; `task` whether several labels may hold of an image.
    Raises DatasetError if there is no image column, a chosen column does not exist, or the label
    column holds no classes.
    """
    image, image_notes = _image_column(table, image_column, leads_to_file)
    label = _column(table, (label_column,), "label") if label_column else None
    chosen: tuple[str, ...] = ()
    if label is None:
        others = [column for column in table.columns if column != image]
        candidates = _known(others, LABEL_COLUMNS)
        label = next(iter(candidates), None)
        if len(candidates) > 1:
            shown = ", ".join(map(visible, candidates[1:]))
            chosen = (
                f"Labels are those of the column {visible(candidates[0])!r}; --label-column would "
                f"take another one ({shown}).",
            )
    names = table.text(image)
    several = None if task is Task.SINGLE_LABEL else _several(table, image, label, task)
    if several is not None:
        marks, notes = several
        unsure = label is None and task is Task.AUTO  # the model decides what the columns are
        return Annotations(
            kind="table" if unsure else "multi-label table",
            names=names,
            labels=None,
            classes=(),
            metadata=_metadata(table, {image, *([label] if label else [])}),
            notes=(*table.notes, *image_notes, *notes, *([_no_labels(table, image)] * unsure)),
            marks=marks,
        )
    if label is not None:
        ham = {"lesion_id", "image_id", "dx"} <= set(table.columns)
        labels, classes, notes = _labels(table, label)
        return Annotations(
            kind="HAM10000 table" if ham else "table",
            names=names,
            labels=labels,
            classes=classes,
            metadata=_metadata(table, {image, label}),
            notes=(*table.notes, *image_notes, *chosen, *notes),
        )
    hot = one_hot_columns(table, _aside(table, image))
    if hot:
        labels, classes, refused, notes, order_notes = one_hot(table, hot)
        return Annotations(
            kind="ISIC one-hot table",
            names=names,
            labels=labels,
            classes=classes,
            metadata=_metadata(table, {image, *hot}),
            refused=refused,
            notes=(*table.notes, *image_notes, *notes),
            order_notes=order_notes,
        )
    return Annotations(
        kind="table",
        names=names,
        labels=None,
        classes=(),
        metadata=_metadata(table, {image}),
        notes=(*table.notes, *image_notes, _no_labels(table, image)),
    )


def _no_labels(table: Table, image: str) -> str:
    return (
        f"{table.path.name} has no column of labels (looked for {', '.join(LABEL_COLUMNS)}); "
        f"name it with --label-column if there is one{_possible_labels(table, image)}."
    )


def _possible_labels(table: Table, image: str) -> str:
    """Return the columns that hold a few words each, as what --label-column could name."""
    found = []
    for column in table.columns:
        values = sorted({visible(cell) for cell in table.text(column) if cell})
        words = values and _whole_numbers(values) is None
        if column != image and words and 2 <= len(values) <= _MAX_OFFERED:
            found.append(f"{visible(column)} ({', '.join(values[:4])}{' ...' * (len(values) > 4)})")
    return f": perhaps {'; '.join(found[:6])}" if found else ""


def _known(columns: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the columns whose names are among those wanted, the best first."""
    place = {plain_name(name): i for i, name in enumerate(wanted)}
    return sorted(
        (c for c in columns if plain_name(c) in place), key=lambda c: place[plain_name(c)]
    )


def _column(table: Table, wanted: Sequence[str], role: str) -> str:
    found = [c for c in table.columns if c in wanted] or _known(table.columns, wanted)
    if not found:
        raise DatasetError(
            f"{table.path} has no column {' or '.join(wanted)} for the {role}; it has "
            f"{', '.join(map(visible, table.columns))}. Name it with --{role}-column"
        )
    return found[0]


def column_of_images(table: Table, user_column: str | None = None) -> str:
    """Return the column that names the images: the user's, or recognised by name or by content.

    Raises DatasetError if there is none.
    """
    return _image_column(table, user_column, None)[0]


def _image_column(
    table: Table, user_column: str | None, leads_to_file: Callable[[str], bool] | None
) -> tuple[str, tuple[str, ...]]:
    """Return the column that names the images, and a note if several could be meant.

    Columns recognised by name come first, then those whose cells end like image files, then all
    others; the first that leads to files is taken.
    """
    if user_column is not None:
        return _column(table, (user_column,), "image"), ()
    named = _known(table.columns, IMAGE_COLUMNS)
    head = replace(table, data=table.data.slice(0, _SAMPLE))
    sampled = {c: [cell for cell in head.text(c) if cell] for c in table.columns}
    by_content = [c for c in table.columns if c not in named and _like_files(sampled[c])]
    recognised = [*named, *by_content]
    if leads_to_file is None:
        return (recognised or [_column(table, IMAGE_COLUMNS, "image")])[0], ()
    shares = {
        c: sum(map(leads_to_file, cells)) / len(cells) if cells else 0.0
        for c, cells in sampled.items()
    }
    leading = [c for c in recognised if shares[c]]
    # A number may be the name of a file by chance: it counts rows.
    others = [
        c
        for c in table.columns
        if c not in recognised and shares[c] > 0.5 and _whole_numbers(sampled[c]) is None
    ]
    if not (leading or others):
        return (recognised or [_column(table, IMAGE_COLUMNS, "image")])[0], ()
    taken, *rest = [*leading, *others]
    rest = [c for c in rest if shares[c] > 0.5]
    if taken in others:
        passed = ", ".join(map(visible, recognised))
        return taken, (
            f"Images are those of the column {visible(taken)!r}, whose cells lead to files"
            f"{f'; those of {passed} do not' * bool(passed)}. --image-column takes another one.",
        )
    if not rest:
        return taken, ()
    return taken, (
        f"Images are those of the column {visible(taken)!r}; {', '.join(map(visible, rest))} "
        f"{'names' if len(rest) == 1 else 'name'} images too, which are not looked at. "
        f"--image-column {visible(rest[0])} takes another one.",
    )


def _like_files(cells: Sequence[str]) -> bool:
    return bool(cells) and all(Path(cell).suffix.lower() in SUFFIXES for cell in cells)


def _labels(
    table: Table, column: str
) -> tuple[tuple[str | None, ...], tuple[str, ...], tuple[str, ...]]:
    """Read a column of class names or numbers: labels (n,), classes in order, and notes."""
    raw = table.text(column)
    counts = Counter(cell for cell in raw if cell is not None)
    if not counts:
        raise DatasetError(
            f"column {visible(column)!r} of {table.path} is empty; name another with --label-column"
        )
    if len(counts) > _MAX_CLASSES and len(counts) > len(raw) / 2:
        raise DatasetError(
            f"column {visible(column)!r} of {table.path} has {len(counts)} different values in "
            f"{len(raw)} rows: not classes. Name the right one with --label-column"
        )
    notes: list[str] = []
    numbers = _whole_numbers(counts)
    if numbers is not None:
        order = [str(n) for n in sorted(set(numbers.values()))]
        spelled = {cell: str(number) for cell, number in numbers.items()}
        named = _names_of_numbers(table, column, raw, spelled)
        if named:
            spelled = {cell: named[number] for cell, number in spelled.items()}
            order = [named[number] for number in order]
            notes.append(f"The numbers of {visible(column)!r} stand for {', '.join(order)}.")
    else:
        spelled = _one_spelling(counts)
        order = sorted(set(spelled.values()))
        if len(order) < len(counts):
            notes.append("Labels that differ in case only were taken as one.")
    empty = sum(cell is None for cell in raw)
    if empty:
        notes.append(f"{many(empty, 'row')} without a label; images are used without one.")
    return (
        tuple(None if cell is None else spelled[cell] for cell in raw),
        tuple(order),
        tuple(notes),
    )


def _whole_numbers(cells: Iterable[str]) -> dict[str, int] | None:
    """Return cell -> number if all cells are whole numbers ("0", "1.0"), else None."""
    try:
        values = {cell: float(cell) for cell in cells}
        return (
            {cell: int(v) for cell, v in values.items()}
            if all(v.is_integer() for v in values.values())
            else None
        )
    except ValueError:
        return None


def _one_spelling(counts: Counter[str]) -> dict[str, str]:
    """Map each cell to the most frequent spelling among those that differ in case only."""
    best: dict[str, str] = {}
    for cell, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        best.setdefault(cell.casefold(), visible(cell))
    return {cell: best[cell.casefold()] for cell in counts}


def _names_of_numbers(
    table: Table, column: str, raw: Sequence[str | None], numbers: Mapping[str, str]
) -> dict[str, str] | None:
    """Return number -> name from another label column, if the two correspond one to one."""
    for other in _known([c for c in table.columns if c != column], LABEL_COLUMNS):
        pairs = {
            (numbers[cell], visible(name))
            for cell, name in zip(raw, table.text(other), strict=True)
            if cell is not None and name is not None
        }
        named = dict(pairs)
        one_to_one = (
            len(pairs) == len(named) == len(set(named.values())) == len(set(numbers.values()))
        )
        if one_to_one and _whole_numbers(named.values()) is None:
            return named
    return None


def _several(
    table: Table, image: str, label: str | None, task: Task
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]] | None:
    """Return marks and notes of a table of which several labels may hold of an image, or None."""
    if label is not None:
        listed = marks_of_lists(table.text(label))
        if listed is not None:
            return listed
        if task is Task.AUTO:
            return None
    if task is Task.AUTO and one_hot_columns(table, _aside(table, image)):
        return None
    aside = _aside(table, image, *([label] if label else []))
    columns = {visible(c): table.text(c) for c in table.columns if c not in aside}
    found = marks_of_columns(columns)
    if found is None and task is Task.MULTI_LABEL:
        raise DatasetError(
            f"{table.path} has fewer than two columns of 0 and 1, and no column of labels joined "
            "by | (A|B); a multi-label table has one of these, with cells left empty or -1 where "
            "a label is unknown"
        )
    return found


def _aside(table: Table, *columns: str) -> set[str]:
    """Return columns whose meaning is known, so that they hold no labels."""
    return {*columns, *_metadata_names(table.columns).values()}


def _metadata_names(columns: Sequence[str]) -> dict[str, str]:
    """Return our key -> the name of the column, for those that exist."""
    found = {key: _known(columns, wanted) for key, wanted in METADATA_COLUMNS.items()}
    return {key: names[0] for key, names in found.items() if names}


def cells(table: Table, key: str, column: str) -> tuple[str | float | None, ...]:
    """Return a column of metadata (n,), as numbers if that makes sense for the key."""
    if key in _IDENTIFIERS:  # "12" and "012" are different patients
        return tuple(None if cell is None else visible(cell) for cell in table.text(column))
    return table.values(column)


def _metadata(table: Table, used: set[str]) -> dict[str, str]:
    """Return key -> column for all columns that are not used for anything else."""
    rest = [column for column in table.columns if column not in used]
    keys = _metadata_names(rest)
    known = set(keys.values())
    for column in rest:
        if column not in known:
            name = visible(column) or "unnamed"
            while name in keys:
                name += "_"
            keys[name] = column
    return keys
