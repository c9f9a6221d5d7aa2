"""The model's own training images: which artifacts went with which class when it learned.

A model may react to a ring it has never seen. Whether it could have *learned* to is a question to
its training data, so the finders look through a sample of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.held import find, kind_of
from melaudit.artifacts.interface import Artifact, HasKinds
from melaudit.audit.leases import ALONE, Turns
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.provenance import code_fingerprint
from melaudit.audit.prepare.shared_units import Keeping, chunks, of_all
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
    looking, workers = _looking(artifacts, configuration.workers, white, read)
    keeping = Keeping(
        lambda unit: configuration.out / f"training-{fingerprint}-{unit:04d}.npz",
        lambda place, n: _kept(place, n, names),
        _written,
        _joined,
    )
    looks = of_all(
        chunks([dataset.paths[row] for row in rows], UNIT),
        looking,
        keeping,
        "Looking through the training images",
        observer,
        turns,
        workers=workers,
        at_a_time=AT_A_TIME,
    )
    seen, pictures, properties = _joined([looking((), {}, lambda _: None), *looks])
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


def _written(looks: Looks) -> bytes:
    seen, pictures, properties = looks
    buffer = io.BytesIO()
    np.savez_compressed(buffer, seen=seen, signatures=pictures, properties=properties)
    return buffer.getvalue()


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
    with contextlib.closing(results(looking, chunks(paths, AT_A_TIME), workers)) as found:
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
