"""The model's own training images: which artifacts went with which class when it learned.

A model may react to a ring it has never seen. Whether it could have *learned* to is a question to
its training data, so the finders look through a sample of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.held import find, kind_of
from melaudit.artifacts.interface import Artifact, HasKinds
from melaudit.audit.leases import ALONE, Turns, Units
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.provenance import code_fingerprint
from melaudit.choices import Task
from melaudit.detectors.measures.properties import PROPERTIES, measured
from melaudit.detectors.measures.signatures import SIDE, signature
from melaudit.errors import DatasetError
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.finder_results import picklable
from melaudit.images.imagefile import FULL_WHITE, Read, read_image, shrink
from melaudit.images.worker_pool import Announce, Lost, results
from melaudit.measurements import Pictures
from melaudit.observer import Observer
from melaudit.publish import publish
from melaudit.statistics.sampling import sample

Training = Mapping[str, tuple[NDArray[np.bool_], NDArray[np.int64]]]
"""Artifact -> whether it is present (m,) and the label (m,)."""


@dataclass(frozen=True)
class TrainingEvidence:
    """What a sample of the training images shows."""

    artifacts: Training = field(default_factory=dict)
    properties: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]] = field(
        default_factory=dict
    )
    """Property -> its value (m,), NaN where it is unknown, and the label (m,)."""
    pictures: Pictures | None = None
    """The images that could be read; None without training images."""


Looks = tuple[NDArray[np.int8], NDArray[np.uint8], NDArray[np.float64]]
"""What was seen of m images: artifacts (m, artifacts), signatures (m, d), properties (m, p)."""

AT_A_TIME = 8
"""Images that a worker is given together."""
UNIT = 256
"""Images that one process looks at before another may have the next. Chosen: some tens of seconds
of work, not measured."""
UNSEEN = -1
"""An image that could not be read, or that a finder failed on."""
PRESENT = 1
"""An image that shows an artifact; of its first kind, where it has kinds, and so on upwards."""


def training_evidence(
    configuration: Configuration,
    artifacts: Sequence[Artifact],
    classes: Sequence[str],
    observer: Observer,
    label: str = "",
    white: int = FULL_WHITE,
    read: Read = read_image,
    turns: Turns = ALONE,
) -> TrainingEvidence:
    """Look for artifacts in a sample of the training images, balanced over the classes.

    Nothing without training images. Kept in the output folder under a name that changes with the
    images, the sample and the finders. Raises DatasetError for images that cannot be opened, have
    no labels, or other classes than `classes`.
    `label` is the one that is audited of several that may hold of an image. `white` is what is
    white in 16-bit grey images. `read` decodes where no process can be handed the finders. `turns`
    says which images this process looks at, where several look together.
    """
    if configuration.train_data is None:
        return TrainingEvidence()
    dataset = _opened(configuration.train_data, classes, configuration.class_map, label)
    rows = np.flatnonzero(
        sample(
            np.where(dataset.labels < 0, len(classes), dataset.labels),
            configuration.train_sample,
            configuration.seed,
        )
    )
    rows = rows[dataset.labels[rows] >= 0]
    names = [artifact.id for artifact in artifacts]
    observer.note(f"training images: {dataset.describe()}; {len(rows)} of them are looked at")
    fingerprint = _fingerprint(dataset, rows, names, white)[:16]
    looking = _looking(artifacts, configuration.workers, white, read)
    seen, pictures, properties = _looked_at(
        [[dataset.paths[row] for row in rows[i : i + UNIT]] for i in range(0, len(rows), UNIT)],
        *looking,
        lambda unit: configuration.out / f"training-{fingerprint}-{unit:04d}.npz",
        names,
        observer,
        turns,
    )
    unseen = int((seen == UNSEEN).any(1).sum())
    if unseen:
        observer.note(f"training images: {unseen} of {len(rows)} could not be looked at")
    labels = dataset.labels[rows]
    readable = pictures.any(1)  # a signature is nowhere all zero
    return TrainingEvidence(
        artifacts=_by_artifact(artifacts, seen, labels),
        properties={p.id: (properties[:, k], labels) for k, p in enumerate(PROPERTIES)},
        pictures=Pictures(tuple(dataset.ids[row] for row in rows[readable]), pictures[readable]),
    )


def _by_artifact(
    artifacts: Sequence[Artifact], seen: NDArray[np.int8], labels: NDArray[np.int64]
) -> Training:
    """Return what `look` saw (m, artifacts) for each artifact, and for each kind of it."""
    out = {}
    for artifact, column in zip(artifacts, seen.T, strict=True):
        known = column != UNSEEN
        out[artifact.id] = column[known] >= PRESENT, labels[known]
        for index, kind in enumerate(artifact.kinds if isinstance(artifact, HasKinds) else ()):
            out[f"{artifact.id}.{kind.kind}"] = column[known] == PRESENT + index, labels[known]
    return out


def _opened(
    path: Path, classes: Sequence[str], class_map: Mapping[str, str], label: str
) -> Dataset:
    try:
        if label:
            dataset = open_dataset(path, task=Task.MULTI_LABEL).of_label(label)
        else:
            dataset = open_dataset(path, classes=classes, class_map=class_map)
    except DatasetError as error:
        raise DatasetError(f"training images: {error}") from error
    if not (dataset.labels >= 0).any():
        raise DatasetError(
            f"the training images {path} have no labels, so they cannot tell which artifact went "
            "with which class; name a folder with a folder per class, or a table"
        )
    return dataset


def _fingerprint(dataset: Dataset, rows: NDArray[np.intp], names: Sequence[str], white: int) -> str:
    facts = [dataset.fingerprint, rows.tolist(), list(names), white, code_fingerprint()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _kept(place: Path, n: int, names: Sequence[str]) -> Looks | None:
    """Return what an earlier run saw, None when it is not there or damaged."""
    try:
        with np.load(place, allow_pickle=False) as kept:
            seen: NDArray[np.int8] = kept["seen"]
            pictures: NDArray[np.uint8] = kept["signatures"]
            properties: NDArray[np.float64] = kept["properties"]
    except Exception:  # absent, cut off, or not ours: looked for again
        return None
    whole = seen.shape == (n, len(names)) and pictures.shape == (n, SIDE * SIDE)
    whole = whole and properties.shape == (n, len(PROPERTIES))
    return (seen, pictures, properties) if whole and seen.dtype == np.int8 else None


def look(
    paths: Sequence[str],
    finders: Sequence[Artifact],
    workers: int,
    observer: Observer,
    white: int = FULL_WHITE,
    read: Read = read_image,
) -> Looks:
    """Return what is seen of each image; the same for any `workers`."""
    looking, workers = _looking(finders, workers, white, read)
    looks = [looking((), {}, lambda _: None)]
    with contextlib.closing(results(looking, _chunks(paths), workers)) as found:
        for some in found:
            looks.append(some)
            observer.advance(len(some[0]))
    return _joined(looks)


def _looking(
    finders: Sequence[Artifact], workers: int, white: int, read: Read
) -> tuple[Looking, int]:
    """Return what looks at images, and by how many processes."""
    # A finder that cannot be handed to a process keeps all of them in this one.
    workers = workers if len(picklable(finders)) == len(finders) else 0
    return Looking(tuple(finders), read_image if workers else read, white), workers


def _looked_at(
    units: Sequence[Sequence[str]],
    looking: Looking,
    workers: int,
    place: Callable[[int], Path],
    names: Sequence[str],
    observer: Observer,
    turns: Turns,
) -> Looks:
    """Return what is seen of the files of all units, each of which is kept at its `place`."""
    kept: dict[int, Looks] = {}

    def there(unit: int) -> bool:
        found = _kept(place(unit), len(units[unit]), names)
        if found is not None:
            kept[unit] = found
        return found is not None

    def came(unit: int) -> None:
        observer.advance(len(units[unit]), computed=False)

    todo = [unit for unit in range(len(units)) if not there(unit)]
    if todo:
        total = sum(len(units[unit]) for unit in todo)
        observer.stage("Looking through the training images", total)
    owners: deque[int] = deque()

    def owner(_: Looks) -> int:
        return owners.popleft()

    due = Units(todo, turns, lambda unit: place(unit).stem, there, came)
    while due.left:
        with contextlib.closing(results(looking, _owned(due, units, owners), workers)) as found:
            for unit, some in itertools.groupby(found, owner):
                looks = []
                for each in some:
                    looks.append(each)
                    observer.advance(len(each[0]))
                kept[unit] = seen, pictures, properties = _joined(looks)
                buffer = io.BytesIO()
                np.savez_compressed(buffer, seen=seen, signatures=pictures, properties=properties)
                publish(place(unit), buffer.getvalue())
                due.release(unit)
        due.wait()
    nothing = looking((), {}, lambda _: None)
    return _joined([nothing, *(kept[unit] for unit in range(len(units)))])


def _owned(
    due: Units[int], units: Sequence[Sequence[str]], owners: deque[int]
) -> Iterator[Sequence[str]]:
    """Yield the files of each unit that is this process's, some at a time, and note whose."""
    for unit in due.free():
        for chunk in _chunks(units[unit]):
            owners.append(unit)
            yield chunk


def _chunks(paths: Sequence[str]) -> list[Sequence[str]]:
    return [paths[start : start + AT_A_TIME] for start in range(0, len(paths), AT_A_TIME)]


def _joined(looks: Iterable[Looks]) -> Looks:
    seen, pictures, properties = zip(*looks, strict=True)
    return np.concatenate(seen), np.concatenate(pictures), np.concatenate(properties)


@dataclass(frozen=True)
class Looking:
    """Looks at image files, shrunk as in the audit: work for processes."""

    finders: tuple[Artifact, ...]
    read: Read
    white: int
    """What is white in 16-bit grey images."""

    def prepare(self) -> None:
        """Leave the other cores to the other processes."""
        cv2.setNumThreads(1)

    def __call__(self, job: Sequence[str], lost: Lost, announce: Announce) -> Looks:
        """Return what is seen of each file: artifacts, signature, properties.

        Artifacts are from `PRESENT` on present, 0 not, `UNSEEN` unknown. Of an image that cannot be
        read, or is lost, the signature is 0 and the properties are NaN.
        """
        seen = np.full((len(job), len(self.finders)), UNSEEN, np.int8)
        pictures = np.zeros((len(job), SIDE * SIDE), np.uint8)
        properties = np.full((len(job), len(PROPERTIES)), np.nan)
        for i, path in enumerate(job):
            announce(i)
            decoded = None if i in lost else self.read(path, white=self.white)
            if decoded is None or decoded.image is None:
                continue
            view = shrink(decoded.image)
            figures = measured(view, decoded.original_size)
            properties[i] = [figures[p.id] for p in PROPERTIES]
            pictures[i] = signature(view)
            for k, finder in enumerate(self.finders):
                with contextlib.suppress(Exception):  # a finder may be anybody's
                    found = find(finder, view)
                    seen[i, k] = PRESENT * found.present
                    if found.present and isinstance(finder, HasKinds) and finder.kinds:
                        seen[i, k] += kind_of(finder, view, found)
        return seen, pictures, properties
