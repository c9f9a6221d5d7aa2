"""The pass over the data: the only thing that touches every image.

decode -> forward -> relevance -> every detector's `measure` -> a shard of 512 rows. Memory holds
one shard, whatever the size of the data set; batches never cross a shard, so a shard is the same
whoever computes it and whenever.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.leases import ALONE, Turns, Units
from melaudit.audit.measure.columns import MAX_BYTES_OF_MAPS, keeps_maps
from melaudit.audit.measure.learn_words import MIN_LIKENESS_SIDE, sight
from melaudit.audit.measure.measurer import CheckSample, Known, Measurer
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.visual_words import LIKENESS_SIDE, SIDES, Sight
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import Prepared
from melaudit.audit.prepare.provenance import run_id
from melaudit.audit.viewer import Viewer
from melaudit.detectors.interface import Detector, artifacts_of
from melaudit.images.image_stream import ImageStream, Loaded
from melaudit.images.imagefile import Read
from melaudit.images.knowledge import BatchKnowledge, Knowledge
from melaudit.measurements import Array
from melaudit.observer import Observer
from melaudit.statistics.sampling import sample

Statuses = list[tuple[str, tuple[str, ...]]]
"""Status and reasons, image by image."""


@dataclass(frozen=True)
class Passed:
    """What the pass over a data set left behind."""

    store: Store
    """Every column of every image."""
    sight: Sight
    """What some of the columns are written in."""


@dataclass(frozen=True)
class Subject:
    """One model in a pass, or one label of a model that has several."""

    configuration: Configuration
    prepared: Prepared
    viewer: Viewer
    known: Known
    """What checks measured before the pass, which is not measured again."""


def measure(
    subjects: Sequence[Subject],
    detectors: tuple[Detector, ...],
    observer: Observer,
    turns: Turns = ALONE,
) -> tuple[Passed, ...]:
    """Measure all images of a run, or those that an earlier try at the same run has not.

    Several subjects have the same images, each of which is decoded and searched for artifacts once.
    `turns` says what this process computes, where several measure together.
    """
    found = []
    for subject in subjects:
        configuration, dataset = subject.configuration, subject.prepared.dataset
        store = _store(configuration, subject.prepared, subject.viewer, detectors)
        seen = sight(
            subject.viewer,
            dataset,
            store.folder,
            configuration.seed,
            observer,
            configuration.workers,
            turns,
        )
        subject.viewer.explainer.close()
        checked = sample(dataset.labels, configuration.check_images, configuration.seed)
        known = CheckSample(checked, subject.known)
        keeps = keeps_maps(len(dataset.ids), *subject.viewer.preprocessing.input_size)
        measurer = Measurer(subject.viewer, dataset, detectors, known, seen, keeps)
        found.append((measurer, Passed(store, seen)))
    sweep(
        [(measurer, passed.store) for measurer, passed in found],
        observer,
        knowledge=subjects[0].prepared.knowledge,
        workers=subjects[0].configuration.workers,
        turns=turns,
    )
    return tuple(passed for _, passed in found)


def _store(
    configuration: Configuration,
    prepared: Prepared,
    viewer: Viewer,
    detectors: tuple[Detector, ...],
) -> Store:
    """Open the store of exactly this run: any change of input or setting is another folder."""
    settings = configuration.measured | {
        "engine": viewer.explainer.describe(),
        "layer": viewer.layer,
        "words": SIDES,
        "places": (LIKENESS_SIDE, MIN_LIKENESS_SIDE),
        "maps": MAX_BYTES_OF_MAPS,
        "preprocessing": prepared.preprocessing.describe(),
        "device": prepared.device.type,
        "knowledge": prepared.knowledge.fingerprint,
    }
    name = run_id(
        prepared.loaded.sha256,
        prepared.dataset,
        settings,
        [detector.id for detector in detectors],
    )
    return Store(configuration.out / "shards" / name[:16], name, prepared.dataset.ids)


def sweep(
    parts: Sequence[tuple[Measurer, Store]],
    observer: Observer,
    *,
    knowledge: Knowledge | None = None,
    workers: int = 0,
    read: Read | None = None,
    stage: str = "Measuring",
    turns: Turns = ALONE,
) -> None:
    """Measure every image of the data set into each store, skipping shards that are there.

    The measurers have the same images in the same order, and their stores the same shards.
    `knowledge` is what the user says of the images; `workers` processes decode them;
    with none, `read` does. `turns` says which shards are this process's; it returns when all are
    there.
    """
    measurer, store = parts[0]
    dataset, viewer = measurer.dataset, measurer.viewer
    knowledge = knowledge or Knowledge()
    observer.stage(stage, len(dataset.ids))
    todo = [i for i in range(len(store)) if not all(own.done(i) for _, own in parts)]
    there = len(dataset.ids) - sum(len(store.rows(shard)) for shard in todo)
    if there:
        observer.note(f"resuming: {there} of {len(dataset.ids)} images are done already")
        observer.advance(there, computed=False)
    units = Units(
        todo,
        turns,
        lambda shard: f"{store.folder.name}-{shard:06d}",
        lambda shard: all(own.done(shard) for _, own in parts),
        lambda shard: observer.advance(len(store.rows(shard))),
    )
    stream = ImageStream(
        dataset.paths,
        viewer.preprocessing,
        workers=workers,
        artifacts=artifacts_of(measurer.detectors),
        contents=dataset.contents,
        read=read,
    )
    size = viewer.batch_size
    while units.left:
        # Read ahead: a shard becomes this process's when its first batch begins to be decoded.
        batches = (b for shard in units.free() for b in _batches(store.rows(shard), size))
        with contextlib.closing(stream.read(batches)) as images:
            for shard, batch in itertools.groupby(images, lambda loaded: store.shard(loaded.start)):
                _write_shard(shard, batch, parts, knowledge, observer)
                units.release(shard)
        units.wait()


def _write_shard(
    shard: int,
    batches: Iterable[Loaded],
    parts: Sequence[tuple[Measurer, Store]],
    knowledge: Knowledge,
    observer: Observer,
) -> None:
    """Measure the batches of a shard into each store that does not have it."""
    due = [(own, kept) for own, kept in parts if not kept.done(shard)]
    chunks: list[list[dict[str, Array]]] = [[] for _ in due]
    statuses: Statuses = []
    for loaded in batches:
        shown = knowledge.of_batch(loaded.positions, [_size(v) for v in loaded.views])
        statuses += _flagged(loaded, shown)
        for (own, _), columns in zip(due, chunks, strict=True):
            if loaded.positions:
                columns.append(_measured(own, loaded, shown, observer))
            if len(due) > 1:  # they share modules, on which one engine can be at a time
                own.viewer.explainer.close()
        observer.advance(len(loaded.statuses))
    every, readable = _columns(statuses)
    for (_, kept), columns in zip(due, chunks, strict=True):
        kept.write(shard, every, _join(columns), readable)


def _measured(
    measurer: Measurer, loaded: Loaded, shown: BatchKnowledge, observer: Observer
) -> dict[str, Array]:
    """Measure one batch, and tell the user if it did not fit into memory."""
    viewer = measurer.viewer
    told = viewer.explainer.fits
    columns = measurer.measure(loaded, shown, observer)
    if viewer.explainer.fits != told:
        observer.note(
            f"memory ran out with {viewer.batch_size} images at a time (--batch-size): "
            f"{viewer.explainer.fits} at a time from here on"
        )
    return columns


def _batches(rows: range, size: int) -> list[range]:
    """Cut a shard's rows into batches; they never cross shards, so a shard is reproducible."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _flagged(loaded: Loaded, shown: BatchKnowledge) -> Statuses:
    """Return status and reasons of a batch's images, with what speaks against the user's masks."""
    doubts = dict(zip(loaded.positions, shown.doubts, strict=True))
    return [
        (("flagged" if doubts.get(row) else status), (*reasons, *doubts.get(row, ())))
        for row, (status, reasons) in zip(loaded.indices, loaded.statuses, strict=True)
    ]


def _columns(statuses: Statuses) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """Return the columns that every image has, and which images (n,) were read."""
    every = {
        "status": np.array([status for status, _ in statuses], object),
        "reasons": np.array([",".join(reasons) for _, reasons in statuses], object),
    }
    return every, every["status"] != "skipped"


def _join(chunks: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Concatenate batches, keeping the columns that all have (a detector may have failed)."""
    if not chunks:
        return {}
    names = [name for name in chunks[0] if all(name in chunk for chunk in chunks)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in names}
