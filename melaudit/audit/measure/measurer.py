"""From one batch of images to named columns: what the pass notes of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from melaudit.artifacts.picture import copies_kept
from melaudit.audit.measure.columns import attention_columns, map_column, relevance_columns
from melaudit.audit.measure.thumbnails import thumbnail
from melaudit.audit.measure.visual_words import NOTHING, Sight
from melaudit.audit.viewer import Viewer
from melaudit.detectors.checks.register_tokens import spread
from melaudit.detectors.interface import (
    Answers,
    Batch,
    BatchImages,
    CheckImages,
    Detector,
    Maps,
    UserKnowledge,
)
from melaudit.errors import DetectorError, ends_the_run
from melaudit.images.dataset import Dataset
from melaudit.images.image_stream import Loaded
from melaudit.images.knowledge import BatchKnowledge
from melaudit.images.preprocessing import Preprocessing
from melaudit.logits import predictions
from melaudit.measurements import WITHOUT_REGISTERS as WITHOUT
from melaudit.measurements import Array
from melaudit.observer import Observer
from melaudit.relevance import Attribution
from melaudit.relevance.model.tokens import as_map, is_tokens, unusual
from melaudit.stopwatch import timed

HANDFUL = 4
"""Images of a run on which the checks run that cost many passes each. Chosen: a round figure, not
measured."""


@dataclass(frozen=True)
class Known:
    """What checks measured on k images before the pass."""

    rows: NDArray[np.int64]
    """(k,) their rows in the data set."""
    columns: Mapping[str, Array]
    """Name -> (k, ...)."""


@dataclass(frozen=True)
class CheckSample:
    """The images of a data set on which expensive checks run."""

    sampled: NDArray[np.bool_]
    """(n,) True for them."""
    known: Known | None = None
    """What was measured on some of them already, and need not be measured again."""

    @property
    def handful(self) -> NDArray[np.bool_]:
        """(n,) True for those, `HANDFUL` at most, on which checks may cost many passes each."""
        rows = np.flatnonzero(self.sampled)
        # Spread over the rows, which stand class by class in most data sets.
        spread = np.linspace(0, len(rows) - 1, min(HANDFUL, len(rows))).round().astype(np.intp)
        handful = np.zeros_like(self.sampled)
        handful[rows[spread]] = True
        return handful


@dataclass(frozen=True)
class Measurer:
    """Measures the images of a data set, batch by batch."""

    viewer: Viewer
    dataset: Dataset
    detectors: tuple[Detector, ...]
    sample: CheckSample
    sight: Sight = NOTHING
    """What is noted of the places of every image."""
    keeps_maps: bool = False
    """Whether whole maps are kept, for those that a report shows."""
    failed: set[str] = field(default_factory=set)
    """Detectors that failed on a batch: they are not asked again."""

    def measure(
        self, loaded: Loaded, shown: BatchKnowledge, observer: Observer
    ) -> dict[str, Array]:
        """Measure one batch of readable images: named columns, one row per image."""
        viewer, rows = self.viewer, list(loaded.positions)
        x = loaded.inputs.to(viewer.device)
        with timed("maps"):
            attribution = viewer.explainer.attribute(
                x,
                None,
                viewer.layers,
                attention=viewer.layer or None,
                outputs=[*viewer.layers, *self.sight.layers],
            )
        batch = self._batch(loaded, shown, attribution, x)
        columns: dict[str, Array] = {
            "row": np.asarray(rows, np.int64),
            "logits": batch.answers.logits,
            "prediction": batch.answers.predictions,
            "target": batch.maps.targets,
            "thumbnail": np.stack([thumbnail(view) for view in batch.images.views]),
            **relevance_columns(attribution.maps, attribution.concepts.get(viewer.layer)),
        }
        if self.keeps_maps:
            columns |= map_column(attribution.maps)
        if attribution.attention is not None:
            columns |= attention_columns(attribution.attention)
        with timed("visual words"):
            columns |= self.sight.columns(attribution.outputs, x)
        bare = _without_registers(batch)
        with copies_kept(batch.images.views):
            for detector in self.detectors:
                if detector.id in self.failed:
                    continue
                try:
                    with timed(detector.id):
                        columns |= _taken_over(detector, batch, rows, self.sample.known)
                        if bare is not None and detector.sums_places:
                            again = _checked(detector, bare)
                            columns |= {f"{WITHOUT}{name}": v for name, v in again.items()}
                except Exception as error:  # a detector may be anybody's: the run goes on
                    if ends_the_run(error):
                        raise
                    self.failed.add(detector.id)
                    observer.note(f"detector {detector.id} failed and is left out: {error!r}")
        return columns

    def _batch(
        self, loaded: Loaded, shown: BatchKnowledge, attribution: Attribution, x: Tensor
    ) -> Batch:
        """Return what detectors are shown."""
        viewer, rows = self.viewer, list(loaded.positions)
        predicted = predictions(attribution.logits).cpu().numpy()
        nothing = attribution.maps.new_zeros(len(x), 0)
        return Batch(
            ids=tuple(self.dataset.ids[row] for row in rows),
            images=_images(loaded, viewer.preprocessing, x),
            answers=Answers(_float(attribution.logits), predicted),
            maps=Maps(
                relevance=_float(attribution.maps),
                targets=predicted,
                start=_float(attribution.start),
                absorbed=None if attribution.absorbed is None else _float(attribution.absorbed),
                conserves=viewer.explainer.conserves,
                unknown=attribution.unknown,
                concepts=_float(attribution.concepts.get(viewer.layer, nothing)),
                layer=viewer.layer,
                registers=_registers(attribution.outputs.get(viewer.layer), x),
            ),
            user=UserKnowledge(self.dataset.labels[rows], shown.objects, shown.user_found),
            check_images=CheckImages(
                self.sample.sampled[rows], self.sample.handful[rows], viewer.explainer
            ),
        )


def _images(loaded: Loaded, preprocessing: Preprocessing, x: Tensor) -> BatchImages:
    read = set(loaded.positions)
    sizes = tuple(
        size for size, row in zip(loaded.sizes, loaded.indices, strict=True) if row in read
    )

    def project(mask: Array, index: int) -> NDArray[np.float32]:
        size = sizes[index]
        return preprocessing.project(mask, (size[1], size[0]) if size else None)

    return BatchImages(loaded.views, x, sizes, loaded.seen, project)


def _registers(output: Tensor | None, x: Tensor) -> NDArray[np.bool_] | None:
    """Return which tokens of a layer's output have an unusual norm, (N, h, w); None for a map."""
    if output is None or not is_tokens(output.shape):
        return None
    tokens = as_map(output, *x.shape[2:])
    return None if tokens is None else unusual(tokens).cpu().numpy()


def _without_registers(batch: Batch) -> Batch | None:
    """Return the batch with maps without relevance on registers; None for a model without tokens.

    All batches of a model with tokens have one, so that all have the same columns.
    """
    registers = batch.maps.registers
    if registers is None:
        return None
    relevance = batch.maps.relevance
    kept = 1 - np.stack([spread(tokens, *relevance.shape[1:]) for tokens in registers])
    return replace(batch, maps=replace(batch.maps, relevance=relevance * kept))


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
    rest = replace(batch, check_images=batch.check_images.without(there))
    columns = _checked(detector, rest)
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
        if values.ndim == 0 or len(values) != len(batch):
            raise DetectorError(
                f"{name} has shape {values.shape} for a batch of {len(batch)} images; "
                "a detector measures one row per image"
            )
    return measured
