"""The data set: a folder, container or table of images, opened without reading any pixels."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melaudit.choices import Task
from melaudit.errors import DatasetError
from melaudit.images.class_map import apply_map, offer
from melaudit.images.classes import (
    UnnamedClassesError,
    encode,
    in_order,
    one_class,
    order_note,
)
from melaudit.images.containers.listing import members_of
from melaudit.images.contents import Contents
from melaudit.images.files import FileFinder, Omissions, empty_folders, image_files, twins
from melaudit.images.imagefile import SUFFIXES
from melaudit.images.tables.annotations import cells, interpret
from melaudit.images.tables.marks import plain_name
from melaudit.images.tables.matching import Finder, ImageRow, matched_rows
from melaudit.images.tables.table import PARQUET_SUFFIXES, TEXT_SUFFIXES, Table, read_table
from melaudit.statistics.sampling import margin, quotas
from melaudit.wording.names import visible
from melaudit.wording.sentences import many

_SPLITS = re.compile(r"(train|training|test|testing|val|valid|validation|dev|holdout|eval)\d*")
_CHUNKS = re.compile(r".*(part|batch|chunk|shard)[ _-]?\d+")
_PLAIN_FOLDERS = {"images", "image", "imgs", "img", "jpg", "jpeg", "png", "data", "photos", "input"}


@dataclass(frozen=True, eq=False)
class Dataset:
    """n images and their labels and metadata, in columns, sorted by id."""

    root: Path
    """The real path of the folder or container in which all images lie, or an address."""
    kind: str
    """Image folder, folder without labels, table, ISIC one-hot table, HAM10000 table, ...; where
    they are no files of their own also that: tar shards, HDF5 file, address."""
    ids: tuple[str, ...]
    """(n,) unique paths relative to `root`, with / and visible escapes: safe to show."""
    paths: tuple[str, ...]
    """(n,) what `storage.reading.opened` opens: paths, which may hold characters that cannot be
    shown, or places in a container."""
    sizes: NDArray[np.int64]
    """(n,) sizes of the files in bytes; 0 where a web server does not say it."""
    labels: NDArray[np.int64]
    """(n,) index into `classes`; -1 if unknown."""
    classes: tuple[str, ...]
    """Names in the order of the model's outputs; empty if there are no labels."""
    metadata: Mapping[str, tuple[str | float | None, ...]]
    """Column -> (n,) cells; patient_id, lesion_id, site, sex, age and source have these names."""
    skipped: Mapping[str, int]
    """Reason -> number of files or rows that are named but cannot be used."""
    examples: Mapping[str, tuple[str, ...]]
    """Reason -> a few of their names."""
    notes: tuple[str, ...]
    """What was noticed or assumed, one sentence each."""
    contents: Contents | None = None
    """What the files hold; None until they are read."""
    marks: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """Label -> (n,) 1 where an image has it, 0 where not, -1 where it is unknown; empty unless
    several labels may hold of an image."""
    drawn_from: int = 0
    """Images that these were drawn from at random; 0 where none were left out."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> dict[str, int]:
        """Number of images per class, in the order of the classes."""
        return {name: int((self.labels == i).sum()) for i, name in enumerate(self.classes)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the classes and of the id, size in bytes and label of every image."""
        digest = hashlib.sha256("\0".join(("melaudit-data-1", *self.classes, "\n")).encode())
        rows = zip(self.ids, self.sizes.tolist(), self.labels.tolist(), strict=True)
        for identity, size, label in rows:
            digest.update(f"{identity}\0{size}\0{label}\n".encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """Describe the data set in one line: kind, images, classes with index and count."""
        shown = [f"{i} {name} ({n})" for i, (name, n) in enumerate(self.counts.items())][:12]
        more = ", ..." if len(self.classes) > 12 else ""
        known = f"; classes {', '.join(shown)}{more}" if shown else ""
        unknown = int((self.labels < 0).sum())
        rest = f"; {unknown} without a label" if unknown else ""
        return f"{self.kind}: {many(len(self), 'image')}{known}{rest}"

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Dataset:
        """Return the data set of these rows (m,), in this order."""
        places = np.asarray(rows, dtype=np.int64)
        order = places.tolist()
        return replace(
            self,
            ids=tuple(self.ids[i] for i in order),
            paths=tuple(self.paths[i] for i in order),
            sizes=self.sizes[places],
            labels=self.labels[places],
            contents=None if self.contents is None else self.contents[places],
            metadata={k: tuple(cells[i] for i in order) for k, cells in self.metadata.items()},
            marks={name: marks[places] for name, marks in self.marks.items()},
        )

    def of_label(self, label: str) -> Dataset:
        """Return the images with one of the labels that may hold as their class: absent, present.

        What the table says of the other labels is no metadata of this one.
        """
        marks = {plain_name(name): marks for name, marks in self.marks.items()}
        return replace(
            self,
            kind="multi-label table" if self.marks else self.kind,
            labels=marks.get(plain_name(label), np.full(len(self), -1)),
            classes=(f"no {label}", label),
            metadata={k: cells for k, cells in self.metadata.items() if k not in self.marks},
            marks={},
        )

    def has_marks(self, label: str) -> bool:
        """Tell whether the table says of any image whether it has a label."""
        return plain_name(label) in set(map(plain_name, self.marks))

    def with_limit(self, limit: int, seed: int = 0) -> Dataset:
        """Return `limit` images drawn at random; each class, and the unlabelled, keep their share.

        Every class keeps at least one image if the limit allows. The same seed draws the same
        images. Raises DatasetError for a limit below 1.
        """
        if limit < 1:
            raise DatasetError(f"--limit {limit}: expected at least 1 image")
        if limit >= len(self):
            return self
        strata, counts = np.unique(self.labels, return_counts=True)
        chosen = []
        for label, quota in zip(strata.tolist(), quotas(counts, limit).tolist(), strict=True):
            rng = np.random.default_rng([seed, label + 1])
            chosen.append(rng.permutation(np.flatnonzero(self.labels == label))[:quota])
        off = 100 * margin(limit, len(self))
        note = (
            f"Limited to {limit} of {len(self)} images, drawn with seed {seed} in proportion to "
            f"the classes. A share of all images may differ by up to {off:.2g} of 100 from that of "
            "these (95 %)."
        )
        limited = self.take(np.sort(np.concatenate(chosen)))
        return replace(limited, notes=(*self.notes, note), drawn_from=len(self))


def open_dataset(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    image_root: Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    class_map: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    task: Task = Task.AUTO,
) -> Dataset:
    """Open images: a folder of class folders or of images, a container, an address, or a table.

    A container is an HDF5 file, a tar file or a folder of tar files; an address that of a folder or
    of tar files. `classes` is the order of the model's outputs; by default classes are ordered by
    name, as ImageFolder does, but as numbers where all names are whole numbers, and one-hot columns
    as in the table. The images of a table lie below `image_root`, by default the folder of the
    table, or in it, if it is a container or an address; nothing outside is opened, whatever a table
    or link says. For a folder, `image_root` is another folder that links may lead to. `task` says
    whether each image has one class or several labels may hold of it; the table tells if it is
    `auto`.

    Raises DatasetError if there is nothing to audit, or the input is ambiguous.
    """
    place, columns = Path(path), (image_column, label_column)
    names = _Names(classes, class_map or {})
    omitted = Omissions()
    try:
        members = members_of(place, omitted)
        if members is not None and members.table is not None:
            columns = (members.table.columns[0], label_column)
            dataset = _of_table(members.table, members, columns, names, task, omitted)
        elif members is not None:
            dataset = _of_folders(members, members.sizes, names, omitted, [])
        elif place.is_dir():
            dataset = _open_folder(place, image_root, names, omitted)
        elif place.exists():
            dataset = _open_table(place, image_root, columns, names, task, omitted)
        else:
            raise DatasetError(f"{place} does not exist; expected a folder or table of images")
    except OSError as error:
        raise DatasetError(f"{place} cannot be opened: {error.strerror}") from error
    return dataset if limit is None else dataset.with_limit(limit, seed)


@dataclass(frozen=True)
class _Names:
    """What the user says of the names of classes."""

    classes: Sequence[str] | None
    """In the order of the model's outputs."""
    joined: Mapping[str, str]
    """The class map."""


def _open_folder(path: Path, image_root: Path | None, names: _Names, omitted: Omissions) -> Dataset:
    if image_root is not None and not image_root.is_dir():
        raise DatasetError(f"the folder of images {image_root} does not exist")
    finder = FileFinder(path)
    elsewhere = (os.path.realpath(image_root),) if image_root else ()
    files = image_files(finder.root, omitted, elsewhere=elsewhere)
    if not files:
        seen = f"; found instead: {omitted}" if omitted.counts else ""
        raise DatasetError(
            f"{path} holds no images ({', '.join(sorted(SUFFIXES))}){seen}. Name a folder with one "
            "folder of images per class, a folder of images, or a table"
        )
    tables = sorted(p.name for p in path.iterdir() if p.suffix.lower() in TEXT_SUFFIXES[:2])
    return _of_folders(finder, files, names, omitted, empty_folders(finder.root), tables)


def _of_folders(
    finder: Finder,
    files: Mapping[str, int],
    names: _Names,
    omitted: Omissions,
    empty: Sequence[str],
    tables: Sequence[str] = (),
) -> Dataset:
    """Take folders for classes: `files` are names of images and sizes; `tables` lie beside them."""
    if not files:
        raise DatasetError(f"{visible(finder.root)} holds no images; found instead: {omitted}")
    full = sorted({name.partition("/")[0] for name in files if "/" in name})
    notes: list[str] = []
    beside = f" {Path(finder.root).name} holds {', '.join(map(visible, tables[:3]))}:"
    beside *= bool(tables)
    labels: list[str | None] = [None] * len(files)
    if not full or (len(full) == 1 and full[0].lower() in _PLAIN_FOLDERS):
        if beside:
            notes.append(f"{beside.strip()} name that table instead of the folder for its labels.")
        kind, found = "folder without labels", []
    else:
        _refuse_other_folders(Path(finder.root), full, beside)
        for name in [name for name in files if "/" not in name]:
            omitted.add("outside_class_folders", name)
        files = {name: size for name, size in files.items() if "/" in name}
        empty = sorted(set(empty) - set(full))
        if empty:
            shown = ", ".join(map(visible, empty[:12]))
            notes.append(f"Class folders without any image: {shown}. They keep their place.")
        if all(name.count("/") > 1 for name in files):
            notes.append(
                f"No class folder holds images itself, only folders below it do. Are the classes "
                f"{', '.join(map(visible, full[:6]))}? If not, name the folder they are in."
            )
        labels = [visible(name.partition("/")[0]) for name in files]
        kind, found = "image folder", [visible(name) for name in in_order([*full, *empty])]
    rows = [
        ImageRow(visible(name), name, size, label)
        for (name, size), label in zip(files.items(), labels, strict=True)
    ]
    return _dataset(finder, kind, sorted(rows), found, names, {}, omitted, notes)


def _refuse_other_folders(path: Path, folders: Sequence[str], beside: str) -> None:
    """Refuse folders that are not classes; nobody would notice if they were taken for classes."""
    names = [name.casefold() for name in folders]
    shown = ", ".join(visible(name) for name in folders[:6])
    if all(_SPLITS.fullmatch(name) for name in names):
        example = path / visible(folders[0])
        raise DatasetError(
            f"{path} holds splits ({shown}), not classes; name one of them: {example}"
        )
    if all(_CHUNKS.fullmatch(name) for name in names):
        raise DatasetError(
            f"{path} holds parts ({shown}), not classes;{beside} name the table that has the labels"
        )


def _open_table(
    path: Path,
    image_root: Path | None,
    columns: tuple[str | None, str | None],
    names: _Names,
    task: Task,
    omitted: Omissions,
) -> Dataset:
    """Open a table; `columns` are those of images and labels that the user named."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in (*TEXT_SUFFIXES, *PARQUET_SUFFIXES):
        what = "a single image" if suffix in SUFFIXES else "no table or folder of images"
        raise DatasetError(
            f"{path} is {what}; expected a folder, an HDF5 or tar file of images, or a table: "
            f"{', '.join((*TEXT_SUFFIXES, *PARQUET_SUFFIXES))}"
        )
    finder: Finder | None = None
    if image_root is not None:
        finder = members_of(image_root, Omissions())
        if finder is None and not image_root.is_dir():
            raise DatasetError(f"the folder of images {image_root} does not exist")
    finder = finder or FileFinder(image_root or path.parent, (path.parent,))
    return _of_table(read_table(path, omitted), finder, columns, names, task, omitted)


def _of_table(
    table: Table,
    finder: Finder,
    columns: tuple[str | None, str | None],
    names: _Names,
    task: Task,
    omitted: Omissions,
) -> Dataset:
    annotations = interpret(
        table, *columns, lambda name: not isinstance(finder.find(name), str), task
    )
    matched = matched_rows(annotations, finder, omitted)
    if not matched:
        raise DatasetError(
            f"{table.path} has {len(table)} rows, none of which leads to an image below "
            f"{visible(finder.root)} ({omitted}). Name the folder of the images with --image-root"
        )
    order = [place for _, place in matched]
    metadata = {}
    for key, column in annotations.metadata.items():
        whole = cells(table, key, column)  # one by one: 50 columns at once would take a gigabyte
        metadata[key] = tuple(whole[place] for place in order)
    rows = [row for row, _ in matched]
    if annotations.marks:
        rows = [row._replace(label=None) for row in rows]
    own_order = not (names.classes or names.joined)
    notes = annotations.notes + (annotations.order_notes if own_order else ())
    found = annotations.classes
    dataset = _dataset(finder, annotations.kind, rows, found, names, metadata, omitted, notes)
    marks = {k: np.array(v, np.int64)[order] for k, v in annotations.marks.items()}
    return replace(dataset, marks=marks)


def _dataset(
    finder: Finder,
    kind: str,
    rows: Sequence[ImageRow],
    found: Sequence[str],
    wanted: _Names,
    metadata: Mapping[str, tuple[str | float | None, ...]],
    omitted: Omissions,
    notes: Iterable[str],
) -> Dataset:
    """Turn sorted rows into columns, with the labels that a class map gives them."""
    classes = wanted.classes
    if wanted.joined and found:
        mapped = apply_map([row.label for row in rows], found, wanted.joined)
        rows = [rows[i]._replace(label=mapped.labels[i]) for i in mapped.kept]
        metadata = {key: tuple(column[i] for i in mapped.kept) for key, column in metadata.items()}
        found, notes = mapped.classes, (*notes, *mapped.notes)
        if not rows:
            raise DatasetError(f"--class-map leaves out all images; {mapped.notes[-1]}")
    ids = tuple(row.id for row in rows)
    try:
        codes, names, remarks = encode([row.label for row in rows], found, classes)
    except UnnamedClassesError as error:
        if classes is None or len(classes) != 2:
            raise
        raise DatasetError(
            f"{error}, or join them, for example {offer(found, classes)} (NAME= leaves the images "
            "of a label out)"
        ) from error
    if classes is None:
        remarks += order_note(names)
    return Dataset(
        root=Path(finder.root),
        kind=f"{kind} ({finder.kind})" if finder.kind else kind,
        ids=ids,
        paths=tuple(finder.place(row.name) for row in rows),
        sizes=np.array([row.size for row in rows], np.int64),
        labels=codes,
        classes=names,
        metadata=metadata,
        skipped=omitted.counts,
        examples=omitted.examples,
        notes=(*notes, *remarks, *twins(ids), *one_class(codes, names)),
    )
