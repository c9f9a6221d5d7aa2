"""The data set: a folder or table of images, opened without reading a single pixel."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from melaudit.errors import DatasetError
from melaudit.images.annotations import Annotations, cells, interpret
from melaudit.images.classes import encode
from melaudit.images.files import Finder, Omissions, image_files
from melaudit.images.imagefile import SUFFIXES
from melaudit.images.tables import PARQUET_SUFFIXES, TEXT_SUFFIXES, read_table
from melaudit.wording.names import visible

_SPLITS = re.compile(r"(train|training|test|testing|val|valid|validation|dev|holdout|eval)\d*")
_PARTS = re.compile(r".*(part|batch|chunk|shard)[ _-]?\d+")
_PLAIN_FOLDERS = {"images", "image", "imgs", "img", "jpg", "jpeg", "png", "data", "photos", "input"}


@dataclass(frozen=True, eq=False)
class Dataset:
    """n images and what is known about them, in columns, sorted by id."""

    root: Path
    """The real folder that all images lie in."""
    kind: str
    """image folder, folder without labels, table, ISIC one-hot table or HAM10000 table."""
    ids: tuple[str, ...]
    """(n,) unique paths relative to `root`, with / and with visible escapes: safe to show."""
    paths: tuple[str, ...]
    """(n,) paths to open; they may hold characters that are no text."""
    sizes: NDArray[np.int64]
    """(n,) bytes."""
    labels: NDArray[np.int64]
    """(n,) index into `classes`; -1 where unknown."""
    classes: tuple[str, ...]
    """Names in the order of the model's outputs; empty if nothing is known of labels."""
    metadata: Mapping[str, tuple[str | float | None, ...]]
    """Column -> (n,) cells; patient_id, lesion_id, site, sex, age and source go by these names."""
    skipped: Mapping[str, int]
    """Reason -> files or rows that are named but cannot be used."""
    examples: Mapping[str, tuple[str, ...]]
    """Reason -> a few of their names."""
    notes: tuple[str, ...]
    """What was noticed or assumed, each a sentence."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> dict[str, int]:
        """Images per class, in order."""
        return {name: int((self.labels == i).sum()) for i, name in enumerate(self.classes)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the classes and every image's id, size in bytes and label.

        Contents are not read: a file replaced by another of the same length goes unnoticed.
        """
        digest = hashlib.sha256("\0".join(("melaudit-data-1", *self.classes, "\n")).encode())
        rows = zip(self.ids, self.sizes.tolist(), self.labels.tolist(), strict=True)
        for identity, size, label in rows:
            digest.update(f"{identity}\0{size}\0{label}\n".encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """Say in one line what this is: kind, images, classes with index and count."""
        shown = [f"{i} {name} ({n})" for i, (name, n) in enumerate(self.counts.items())][:12]
        more = ", ..." if len(self.classes) > 12 else ""
        known = f"; classes {', '.join(shown)}{more}" if shown else ""
        unknown = int((self.labels < 0).sum())
        rest = f"; {unknown} without a label" if unknown else ""
        return f"{self.kind}: {len(self)} images{known}{rest}"

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Dataset:
        """Return the data set of the given rows, in the order given."""
        places = np.asarray(rows, dtype=np.int64)
        order = places.tolist()
        return replace(
            self,
            ids=tuple(self.ids[i] for i in order),
            paths=tuple(self.paths[i] for i in order),
            sizes=self.sizes[places],
            labels=self.labels[places],
            metadata={k: tuple(cells[i] for i in order) for k, cells in self.metadata.items()},
        )

    def with_limit(self, limit: int, seed: int = 0) -> Dataset:
        """Return `limit` images drawn at random, each class (and no class) keeping its share.

        Every class keeps at least one image if the limit allows; the same seed draws the same.
        """
        if limit < 1:
            raise DatasetError(f"--limit {limit}: expected at least 1 image")
        if limit >= len(self):
            return self
        strata, counts = np.unique(self.labels, return_counts=True)
        chosen = []
        for label, quota in zip(strata.tolist(), _quotas(counts, limit).tolist(), strict=True):
            rng = np.random.default_rng([seed, label + 1])
            chosen.append(rng.permutation(np.flatnonzero(self.labels == label))[:quota])
        note = f"Limited to {limit} of {len(self)} images, drawn with seed {seed}."
        limited = self.take(np.sort(np.concatenate(chosen)))
        return replace(limited, notes=(*self.notes, note))


def open_dataset(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    image_root: Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Open a folder of class folders, a folder of images, or a table that names images.

    Classes are ordered by name, as ImageFolder does (one-hot columns: as they stand), unless
    `classes` gives the order of the model's outputs. A table's images lie below `image_root`, by
    default the table's folder; nothing outside is opened, whatever a table or link says. For a
    folder, `image_root` is another folder that links may lead to.

    Raises DatasetError when there is nothing to audit, or when it cannot be told what is meant.
    """
    place = Path(path)
    if image_root is not None and not image_root.is_dir():
        raise DatasetError(f"the folder of images {image_root} does not exist")
    try:
        if place.is_dir():
            dataset = _open_folder(place, classes, image_root)
        elif place.exists():
            dataset = _open_table(place, classes, image_root, image_column, label_column)
        else:
            raise DatasetError(f"{place} does not exist; expected a folder or table of images")
    except OSError as error:
        raise DatasetError(f"{place} cannot be opened: {error.strerror}") from error
    return dataset if limit is None else dataset.with_limit(limit, seed)


def _open_folder(path: Path, classes: Sequence[str] | None, image_root: Path | None) -> Dataset:
    root = os.path.realpath(path)
    elsewhere = (os.path.realpath(image_root),) if image_root else ()
    omitted = Omissions()
    files = image_files(root, omitted, elsewhere=elsewhere)
    if not files:
        seen = f"; found instead: {omitted}" if omitted.counts else ""
        raise DatasetError(
            f"{path} holds no images ({', '.join(sorted(SUFFIXES))}){seen}. Name a folder with one "
            "folder of images per class, a folder of images, or a table"
        )
    full = sorted({name.partition("/")[0] for name in files if "/" in name})
    notes: list[str] = []
    tables = sorted(p.name for p in path.iterdir() if p.suffix.lower() in TEXT_SUFFIXES[:2])
    beside = f" {path.name} holds {', '.join(map(visible, tables[:3]))}:" if tables else ""
    if not full or (len(full) == 1 and full[0].lower() in _PLAIN_FOLDERS):
        if beside:
            notes.append(f"{beside.strip()} name that table instead of the folder for its labels.")
        labels: list[str | None] = [None] * len(files)
        kind, found = "folder without labels", []
    else:
        _refuse_other_folders(path, full, beside)
        for name in [name for name in files if "/" not in name]:
            omitted.add("outside_class_folders", name)
            del files[name]
        empty = sorted(set(_empty_folders(root)) - set(full))
        if empty:
            shown = ", ".join(map(visible, empty[:12]))
            notes.append(f"Class folders without any image: {shown}. They keep their place.")
        if all(name.count("/") > 1 for name in files):
            notes.append(
                f"No class folder holds images itself, only folders below it do. Are the classes "
                f"{', '.join(map(visible, full[:6]))}? If not, name the folder they are in."
            )
        labels = [visible(name.partition("/")[0]) for name in files]
        kind, found = "image folder", [visible(name) for name in sorted([*full, *empty])]
    rows = [
        _Row(visible(name), name, size, label)
        for (name, size), label in zip(files.items(), labels, strict=True)
    ]
    return _dataset(root, kind, sorted(rows), found, classes, {}, omitted, notes)


def _empty_folders(root: str) -> list[str]:
    """Return the folders in which there is nothing to see, not those full of other things."""
    empty = []
    for folder in Path(root).iterdir():
        name = folder.name
        if name.startswith((".", "__")) or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            if not any(not file.name.startswith(".") for file in folder.iterdir()):
                empty.append(name)
        except OSError:  # counted where the images were looked for
            continue
    return empty


def _refuse_other_folders(path: Path, folders: Sequence[str], beside: str) -> None:
    """Refuse folders that are no classes; taking them for classes would go unnoticed."""
    names = [name.casefold() for name in folders]
    shown = ", ".join(visible(name) for name in folders[:6])
    if all(_SPLITS.fullmatch(name) for name in names):
        example = path / visible(folders[0])
        raise DatasetError(
            f"{path} holds splits ({shown}), not classes; name one of them: {example}"
        )
    if all(_PARTS.fullmatch(name) for name in names):
        raise DatasetError(
            f"{path} holds parts ({shown}), not classes;{beside} name the table that has the labels"
        )


def _open_table(
    path: Path,
    classes: Sequence[str] | None,
    image_root: Path | None,
    image_column: str | None,
    label_column: str | None,
) -> Dataset:
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in (*TEXT_SUFFIXES, *PARQUET_SUFFIXES):
        what = "a single image" if suffix in SUFFIXES else "no table or folder of images"
        raise DatasetError(
            f"{path} is {what}; expected a folder, or a table: "
            f"{', '.join((*TEXT_SUFFIXES, *PARQUET_SUFFIXES))}"
        )
    omitted = Omissions()
    table = read_table(path, omitted)
    told = interpret(table, image_column, label_column)
    root = path.parent if image_root is None else image_root
    matched = _match(told, Finder(root, (path.parent,)), omitted)
    if not matched:
        raise DatasetError(
            f"{path} has {len(table)} rows, none of which leads to an image below {root} "
            f"({omitted}). Name the folder of the images with --image-root"
        )
    order = [place for _, place in matched]
    metadata = {}
    for key, column in told.metadata.items():
        whole = cells(table, key, column)  # one at a time: of 50 columns, all would be a gigabyte
        metadata[key] = tuple(whole[place] for place in order)
    rows, real = [row for row, _ in matched], os.path.realpath(root)
    return _dataset(real, told.kind, rows, told.classes, classes, metadata, omitted, told.notes)


def _match(told: Annotations, finder: Finder, omitted: Omissions) -> list[tuple[_Row, int]]:
    """Return the images that a table names, sorted by id, each with its place in the table."""
    matched: dict[str, tuple[_Row, int]] = {}
    conflicting: set[str] = set()
    for place, name in enumerate(told.names):
        shown = name or f"row {place + 1}"
        hit = told.refused.get(place) or (finder.find(name) if name else "no_image_named")
        if isinstance(hit, str):
            omitted.add(hit, shown)
            continue
        file, size = hit
        label = told.labels[place] if told.labels else None
        if file not in matched:
            matched[file] = _Row(visible(file), file, size, label), place
        elif label == matched[file][0].label:
            omitted.add("repeated_row", shown)
        else:
            omitted.add("conflicting_labels", shown)
            conflicting.add(file)
    for file in conflicting:  # neither label is to be believed
        omitted.add("conflicting_labels", file)
        del matched[file]
    return sorted(matched.values())


class _Row(NamedTuple):
    """One image; sorts by id."""

    id: str
    name: str
    size: int
    label: str | None


def _dataset(
    root: str,
    kind: str,
    rows: Sequence[_Row],
    found: Sequence[str],
    classes: Sequence[str] | None,
    metadata: Mapping[str, tuple[str | float | None, ...]],
    omitted: Omissions,
    notes: Iterable[str],
) -> Dataset:
    """Put sorted rows into columns."""
    ids = tuple(row.id for row in rows)
    codes, names, remarks = encode([row.label for row in rows], found, classes)
    return Dataset(
        root=Path(root),
        kind=kind,
        ids=ids,
        paths=tuple(f"{root}/{row.name}" for row in rows),
        sizes=np.array([row.size for row in rows], np.int64),
        labels=codes,
        classes=names,
        metadata=metadata,
        skipped=omitted.counts,
        examples=omitted.examples,
        notes=(*notes, *remarks, *_twins(ids), *_one_class(codes, names)),
    )


def _quotas(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Share `limit` out in proportion to `counts` (k,), none getting 0 if that is possible."""
    exact = counts * (limit / counts.sum())
    quotas: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    if limit >= len(counts):
        quotas = np.maximum(quotas, 1)
    while quotas.sum() != limit:
        step = 1 if quotas.sum() < limit else -1
        open_to = quotas < counts if step > 0 else quotas > 1
        gap = np.where(open_to, (exact - quotas) * step, -np.inf)
        quotas[int(gap.argmax())] += step
    return quotas


def _twins(ids: Sequence[str]) -> list[str]:
    """Note names that some file systems, and most readers, would take for one."""
    folded = Counter(
        name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
        for name in ids
    )
    twins = sum(n for n in folded.values() if n > 1)
    if not twins:
        return []
    return [f"{twins} images have names that differ in case or Unicode form only."]


def _one_class(codes: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    present = np.unique(codes[codes >= 0])
    if len(present) != 1:
        return []
    return [
        f"All labelled images are of one class, {names[present[0]]}: nothing can be said about "
        "what tells the classes apart."
    ]
