"""The pass over the data: the only thing that touches every image.

decode -> forward -> relevance -> every detector's `measure` -> a shard of 512 rows. Memory holds
one shard, whatever the size of the data set; batches never cross a shard, so a shard is the same
whoever computes it and whenever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melaudit.audit.measure.columns import attention_columns, relevance_columns
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.thumbnails import thumbnail
from melaudit.audit.measure.visual_words import Vocabulary
from melaudit.detectors.interface import Batch, Detector
from melaudit.errors import DetectorError
from melaudit.images.dataset import Dataset
from melaudit.images.image_stream import ImageStream, Loaded
from melaudit.images.knowledge import BatchKnowledge, Knowledge
from melaudit.images.preprocessing import Preprocessing
from melaudit.logits import predictions
from melaudit.measurements import Array
from melaudit.observer import Observer
from melaudit.relevance import Attribution, Explainer

FEW = 4
"""Images of a run on which the most expensive probes run."""


@dataclass(frozen=True)
class Known:
    """What detectors measured on k images before the pass."""

    rows: NDArray[np.int64]
    """(k,) their rows in the data set."""
    columns: Mapping[str, Array]
    """Name -> (k, ...)."""


@dataclass(frozen=True)
class Sweep:
    """What the pass needs, besides the images."""

    explainer: Explainer
    detectors: tuple[Detector, ...]
    preprocessing: Preprocessing
    device: torch.device
    layer: str
    """The concept layer; "" for a model without one."""
    batch_size: int
    workers: int
    sampled: NDArray[np.bool_]
    """(n,) rows of the data set on which expensive probes run."""
    knowledge: Knowledge = field(default_factory=Knowledge)
    """What the user knows of the images besides their labels."""
    known: Known | None = None
    """What need not be measured again."""
    vocabularies: tuple[Vocabulary, ...] = ()
    """The words that are noted for every image."""

    @property
    def layers(self) -> list[str]:
        """The layers whose concepts are asked for: the concept layer, if the model has one."""
        return [self.layer] if self.layer else []

    @property
    def few(self) -> NDArray[np.bool_]:
        """(n,) the rows among them, `FEW` at most, for probes that cost many passes each."""
        rows = np.flatnonzero(self.sampled)
        # Spread over the rows, which stand class by class in most data sets.
        spread = np.linspace(0, len(rows) - 1, min(FEW, len(rows))).round().astype(np.intp)
        few = np.zeros_like(self.sampled)
        few[rows[spread]] = True
        return few


def sweep(
    plan: Sweep, dataset: Dataset, store: Store, observer: Observer, stage: str = "Measuring"
) -> None:
    """Measure every image of the data set into the store, skipping shards that are there."""
    observer.stage(stage, len(dataset.ids))
    todo = [shard for shard in range(len(store)) if not store.done(shard)]
    there = len(dataset.ids) - sum(len(store.rows(shard)) for shard in todo)
    if there:
        observer.note(f"resuming: {there} of {len(dataset.ids)} images are done already")
        observer.advance(there, computed=False)
    batches = [batch for shard in todo for batch in _batches(store.rows(shard), plan.batch_size)]
    failed: set[str] = set()
    sought = [d.artifact for d in plan.detectors if d.artifact is not None]
    with ImageStream(
        dataset.paths, plan.preprocessing, workers=plan.workers, artifacts=sought
    ) as stream:
        loaded = stream.read(batches)
        for shard in todo:
            parts: list[dict[str, Array]] = []
            statuses: list[tuple[str, tuple[str, ...]]] = []
            for _ in _batches(store.rows(shard), plan.batch_size):
                batch = next(loaded)
                shown = plan.knowledge.of_batch(batch.positions, [_size(v) for v in batch.views])
                statuses += _flagged(batch, shown)
                if batch.positions:
                    parts.append(_measure(plan, dataset, batch, shown, failed, observer))
                observer.advance(len(batch.statuses))
            every, read = _statuses(statuses)
            store.write(shard, every, _join(parts), read)


def _batches(rows: range, size: int) -> list[range]:
    """Cut a shard's rows into batches; they never cross shards, so a shard is reproducible."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _flagged(loaded: Loaded, shown: BatchKnowledge) -> list[tuple[str, tuple[str, ...]]]:
    """Return status and reasons of a batch's images, with what speaks against the user's masks."""
    doubts = dict(zip(loaded.positions, shown.doubts, strict=True))
    return [
        (("flagged" if doubts.get(row) else status), (*reasons, *doubts.get(row, ())))
        for row, (status, reasons) in zip(loaded.indices, loaded.statuses, strict=True)
    ]


def _statuses(
    statuses: Sequence[tuple[str, tuple[str, ...]]],
) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    every = {
        "status": np.array([status for status, _ in statuses], object),
        "reasons": np.array([",".join(reasons) for _, reasons in statuses], object),
    }
    return every, every["status"] != "skipped"


def _join(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Concatenate batches, keeping the columns that all have (a detector may have failed)."""
    if not parts:
        return {}
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _measure(
    plan: Sweep,
    dataset: Dataset,
    loaded: Loaded,
    shown: BatchKnowledge,
    failed: set[str],
    observer: Observer,
) -> dict[str, Array]:
    """Measure one batch of readable images: named columns, one row per image."""
    x = loaded.inputs.to(plan.device)
    attribution = plan.explainer.attribute(
        x,
        None,
        plan.layers,
        attention=plan.layer or None,
        outputs=[vocabulary.layer for vocabulary in plan.vocabularies],
    )
    rows = list(loaded.positions)
    batch = _batch(plan, dataset, loaded, shown, attribution, x)
    columns: dict[str, Array] = {
        "row": np.asarray(rows, np.int64),
        "logits": batch.logits,
        "prediction": batch.predictions,
        "target": batch.targets,
        "thumbnail": np.stack([thumbnail(image) for image in batch.images]),
        **relevance_columns(attribution.maps, attribution.concepts.get(plan.layer)),
    }
    if attribution.attention is not None:
        columns |= attention_columns(attribution.attention)
    for vocabulary in plan.vocabularies:
        columns[vocabulary.column] = vocabulary.read(attribution.outputs[vocabulary.layer])
    for detector in plan.detectors:
        if detector.id in failed:
            continue
        try:
            columns |= _taken_over(detector, batch, rows, plan.known)
        except Exception as error:  # a detector may be anybody's: the run goes on without it
            failed.add(detector.id)
            observer.note(f"detector {detector.id} failed and is left out: {error!r}")
    return columns


def _batch(
    plan: Sweep,
    dataset: Dataset,
    loaded: Loaded,
    shown: BatchKnowledge,
    attribution: Attribution,
    x: Tensor,
) -> Batch:
    rows = list(loaded.positions)
    predicted = predictions(attribution.logits).cpu().numpy()

    read = set(rows)
    sizes = tuple(
        size for size, row in zip(loaded.sizes, loaded.indices, strict=True) if row in read
    )

    def project(mask: Array, index: int) -> NDArray[np.float32]:
        size = sizes[index]
        return plan.preprocessing.project(mask, (size[1], size[0]) if size else None)

    absorbed = attribution.absorbed
    return Batch(
        ids=tuple(dataset.ids[row] for row in rows),
        images=loaded.views,
        inputs=x,
        labels=dataset.labels[rows],
        predictions=predicted,
        targets=predicted,
        logits=_float(attribution.logits),
        relevance=_float(attribution.maps),
        start=_float(attribution.start),
        absorbed=None if absorbed is None else _float(absorbed),
        concepts=_float(
            attribution.concepts.get(plan.layer, attribution.maps.new_zeros(len(x), 0))
        ),
        layer=plan.layer,
        sampled=plan.sampled[rows],
        attributor=plan.explainer,
        project=project,
        unknown=attribution.unknown,
        few=plan.few[rows],
        lesions=shown.lesions,
        given=shown.user_found,
        conserves=plan.explainer.conserves,
        sizes=sizes,
        seen=loaded.seen,
    )


def _float(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array


def _taken_over(
    detector: Detector, batch: Batch, rows: Sequence[int], known: Known | None
) -> dict[str, Array]:
    """Measure a batch, but take from `known` what it has of this detector."""
    names = [] if known is None else [n for n in known.columns if n.startswith(f"{detector.id}.")]
    if known is None or not names:
        return _checked(detector, batch)
    place = {row: i for i, row in enumerate(known.rows.tolist())}
    there = np.array([row in place for row in rows])
    few = None if batch.few is None else batch.few & ~there
    columns = _checked(detector, replace(batch, sampled=batch.sampled & ~there, few=few))
    before = [place[row] for row in rows if row in place]
    for name in names:
        columns[name] = np.array(columns[name])
        columns[name][there] = known.columns[name][before]
    return columns


def _checked(detector: Detector, batch: Batch) -> dict[str, Array]:
    """Measure a batch with one detector and hold it to its contract: one row per image."""
    measured = {
        f"{detector.id}.{name}": np.asarray(v) for name, v in detector.measure(batch).items()
    }
    for name, values in measured.items():
        if values.ndim == 0 or len(values) != len(batch.ids):
            raise DetectorError(
                f"{name} has shape {values.shape} for a batch of {len(batch.ids)} images; "
                "a detector measures one row per image"
            )
    return measured
