"""From the store to conclusions: the second half of a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from melaudit.audit.conclude.conclusions import Conclusions, conclude
from melaudit.audit.conclude.controls import controls
from melaudit.audit.conclude.performance import doubts, performance
from melaudit.audit.conclude.subgroup_performance import by_column, slices
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.feedback import refit
from melaudit.audit.groups.grouping import Grouping
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.visual_words import Vocabulary
from melaudit.audit.prepare.preparation import Prepared
from melaudit.detectors.interface import Detector, Measurements
from melaudit.errors import DatasetError
from melaudit.findings import (
    Cluster,
    Concept,
    Control,
    Outlier,
    Performance,
    Probe,
    Prototype,
    Skipped,
    Slice,
    Trust,
)
from melaudit.relevance.model.outputs import probabilities

GROUPS = ("patient_id", "lesion_id")
"""Columns that tell which images are not independent, the wider group first."""
PRESENT = ".present"
"""Columns that end so are boolean and say whether an image shows an artifact."""


@dataclass(frozen=True)
class Outcome:
    """Everything that follows from the measurements."""

    measurements: Measurements
    conclusions: Conclusions
    clusters: tuple[Cluster, ...]
    performance: Performance
    skipped: tuple[Skipped, ...]
    controls: tuple[Control, ...]
    prototypes: tuple[Prototype, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    slices: tuple[Slice, ...] = ()
    probes: tuple[Probe, ...] = ()
    concepts: tuple[Concept, ...] = ()


def outcome(
    table: Measurements,
    store: Store,
    prepared: Prepared,
    detectors: tuple[Detector, ...],
    laboratory: Laboratory | None = None,
    vocabularies: Sequence[Vocabulary] = (),
) -> Outcome:
    """Conclude everything from the measurements, and what edits of images showed.

    The model is asked again only through the laboratory, about groups that need not be there.
    """
    present = artifacts(store)
    grouping = Grouping(present, laboratory, vocabularies)
    conclusions = conclude((*detectors, grouping), table)
    parts = slices(table.labels, table.predictions, prepared.classes, present)
    columns = by_column(table.labels, table.predictions, prepared.classes, table.metadata)
    return Outcome(
        measurements=table,
        conclusions=conclusions,
        clusters=grouping.clusters,
        performance=dataclasses.replace(performed(table), slices=parts, columns=columns),
        skipped=conclusions.skipped,
        controls=controls(dataclasses.replace(table, explanations=conclusions.trust), present),
        prototypes=grouping.prototypes,
        outliers=grouping.outliers,
        slices=grouping.slices,
    )


def reviewed(result: Outcome, reviews: Mapping[str, str] | None) -> Outcome:
    """Add the probes of what a reviewer marked (image -> artifact), if any."""
    if reviews is None:
        return result
    probes, apart = refit(reviews, result.measurements)
    return dataclasses.replace(result, probes=probes, skipped=(*result.skipped, *apart))


def performed(table: Measurements) -> Performance:
    """Return how the model does on the labelled images."""
    return performance(
        table.labels, table.predictions, class_probabilities(table), table.classes, table.positive
    )


def measured(store: Store, prepared: Prepared, layer: str, seed: int) -> Measurements:
    """Return the measurements of all images that were read.

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
        columns=functools.cache(store.column),
        layer=layer,
        explanations=Trust.TRUSTED,
        seed=seed,
        metadata=metadata,
        groups=groups(metadata, ids),
        training=prepared.training,
        learned=prepared.learned,
        labelled={name: codes[rows] for name, codes in prepared.knowledge.others.items()},
    )
    return dataclasses.replace(table, skilled=doubts(performed(table)) is None)


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
    found: NDArray[np.float32] = probabilities(torch.from_numpy(measurements.logits)).numpy()
    return found
