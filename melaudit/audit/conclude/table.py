"""The store of a run as one table: the measurements that everything is concluded from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from melaudit.audit.conclude.performance import doubts, performance
from melaudit.audit.measure.store import Store
from melaudit.audit.prepare.preparation import Prepared
from melaudit.audit.prepare.training_data import TrainingEvidence
from melaudit.errors import DatasetError
from melaudit.findings import (
    Performance,
    Trust,
)
from melaudit.measurements import CHUNK, Measurements
from melaudit.relevance.model.outputs import probabilities

GROUPS = ("patient_id", "lesion_id")
"""Columns that tell which images are not independent, the wider group first."""
PRESENT = ".present"
"""Columns that end so are boolean and say whether an image shows an artifact."""


def performed(table: Measurements) -> Performance:
    """Return how the model does on the labelled images."""
    return performance(
        table.labels, table.predictions, class_probabilities(table), table.classes, table.positive
    )


def measured(
    store: Store,
    prepared: Prepared,
    layer: str,
    seed: int,
    training: TrainingEvidence | None = None,
) -> Measurements:
    """Return the measurements of all images that were read, and what training images show.

    Raises DatasetError when not a single image could be read.
    """
    try:
        rows = store.column("row")
    except KeyError:
        reasons = sorted({r for r in store.column("reasons") if r})
        raise DatasetError(
            f"none of the {len(store.ids)} images could be read ({', '.join(reasons)}); "
            "check that the folder holds JPEG, PNG, TIFF, BMP, WEBP or GIF files"
        ) from None
    training = training or TrainingEvidence()
    ids = tuple(prepared.dataset.ids[row] for row in rows)
    metadata = {
        name: np.array([cells[row] for row in rows], np.object_)
        for name, cells in prepared.dataset.metadata.items()
    }
    table = Measurements(
        ids=ids,
        labels=prepared.dataset.labels[rows],
        predictions=store.column("prediction"),
        targets=store.column("target"),
        logits=store.column("logits"),
        classes=prepared.classes,
        positive=prepared.positive,
        columns=store.column,
        layer=layer,
        explanations=Trust.TRUSTED,
        seed=seed,
        metadata=metadata,
        groups=groups(metadata, ids),
        training=training.artifacts,
        training_properties=training.properties,
        learned=training.pictures,
        words=prepared.domain.domain.words,
        shift=prepared.loaded.shift,
        labelled={name: codes[rows] for name, codes in prepared.knowledge.others.items()},
    )
    return dataclasses.replace(table, above_chance=doubts(performed(table)) is None)


def groups(
    metadata: Mapping[str, NDArray[np.object_]], ids: Sequence[str]
) -> NDArray[np.object_] | None:
    """Return the patient, else the lesion, that each image (n,) shows; None when none is known.

    An image without one is a group of its own. A column in which all are alike groups nothing.
    """
    for name in GROUPS:
        cells = metadata.get(name, np.empty(0, np.object_))
        known = [cell is not None and cell != "" for cell in cells]
        if len({str(cell) for cell, there in zip(cells, known, strict=True) if there}) > 1:
            named = [
                f"{name} {cell}" if there else f"image {identity}"
                for cell, there, identity in zip(cells, known, ids, strict=True)
            ]
            return np.array(named, np.object_)
    return None


def artifacts(store: Store) -> dict[str, NDArray[np.bool_]]:
    """Return artifact -> (n,) whether an image shows it, for all artifacts that were looked for."""
    return {
        name.removesuffix(PRESENT): store.column(name).astype(bool)
        for name in store.names()
        if name.endswith(PRESENT)
    }


def class_probabilities(measurements: Measurements) -> NDArray[np.float32]:
    """Return (n, classes) probabilities, two columns also for models with one logit."""
    logits, shift = measurements.logits, measurements.shift
    some = [torch.tensor(logits[i : i + CHUNK]) for i in range(0, len(logits), CHUNK)]
    return np.concatenate([probabilities(part, shift).numpy() for part in some])
