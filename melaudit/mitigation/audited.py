"""A finished audit, opened again: its model, its images and what it saw in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from melaudit.artifacts.interface import Artifact
from melaudit.audit.conclude.table import groups
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.method import viewing
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.places import configuration_again
from melaudit.audit.prepare.preparation import Prepared, informed, prepare_each, with_contents
from melaudit.audit.prepare.reader import reading
from melaudit.detectors.interface import artifacts_of
from melaudit.detectors.registry import detectors
from melaudit.detectors.rungs.shown import shown
from melaudit.errors import CheckpointError, DatasetError, StoreError
from melaudit.findings import Findings, Trust
from melaudit.measurements import Array, Measurements
from melaudit.observer import Observer
from melaudit.reports import read_findings

IMAGES = "images.parquet"


@dataclass(frozen=True)
class Audited:
    """A finished audit, with its model and images at hand."""

    folder: Path
    findings: Findings
    configuration: Configuration
    prepared: Prepared
    table: Measurements
    """The images that were read, with what finders or the user saw in them; no maps."""
    artifacts: tuple[Artifact, ...]
    """All that were looked for."""
    laboratory: Laboratory


@contextmanager
def opened(folder: Path, given: Mapping[str, Any], observer: Observer) -> Iterator[Audited]:
    """Open the audit in a folder; `given` are settings that the user names now, such as places.

    Raises StoreError for a folder that holds no audit, ConfigurationError where a file cannot be
    found, and CheckpointError or DatasetError where model or images are not those of the audit.
    """
    findings = read_findings(folder)
    configuration = configuration_again(findings.provenance, folder, given)
    observer.stage("Loading")
    with reading(configuration.workers) as read:
        prepared = _same(prepare_each(configuration, None, read), findings, configuration)
        sought = artifacts_of(detectors(configuration.for_detectors, prepared.domain.domain))
        (prepared,) = with_contents([informed(prepared, configuration, sought)], observer)
        table = _table(folder, prepared, configuration.seed)
        sought = tuple(a for a in sought if _measured(table, a))
        with viewing(configuration, prepared, "") as viewer:
            laboratory = Laboratory(
                viewer, prepared.dataset, table.ids, prepared.knowledge, prepared.domain.domain
            )
            yield Audited(folder, findings, configuration, prepared, table, sought, laboratory)


def _same(every: tuple[Prepared, ...], findings: Findings, of: Configuration) -> Prepared:
    """Return what was audited; of a multi-label model, the label with the same classes."""
    known = findings.provenance
    prepared = next((each for each in every if each.classes == known.classes), every[0])
    if prepared.loaded.sha256 != known.model_sha256:
        raise CheckpointError(
            f"{of.model} is not the model that was audited: its SHA-256 begins "
            f"{prepared.loaded.sha256[:12]}, that of the audit {known.model_sha256[:12]}; give the "
            "audited one with --model, or audit this one first"
        )
    if prepared.dataset.fingerprint != known.data_fingerprint:
        raise DatasetError(
            f"the images or labels of {of.data} ({len(prepared.dataset)}) are not those that were "
            "audited; give the audited ones with --data, or audit these first"
        )
    return prepared


def _table(folder: Path, prepared: Prepared, seed: int) -> Measurements:
    """Return the images that were read, with the columns of images.parquet."""
    try:
        frame = pd.read_parquet(folder / IMAGES)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{folder / IMAGES} cannot be read ({error}); run the audit again"
        ) from error
    if tuple(frame["id"]) != prepared.dataset.ids:
        raise StoreError(f"{folder / IMAGES} is of other images; run the audit again")
    rows = np.flatnonzero(frame["prediction"].notna())
    seen = frame.iloc[rows].reset_index(drop=True)
    classes = prepared.classes
    place = {name: k for k, name in enumerate(classes)}
    ids = tuple(seen["id"])
    metadata = {
        name: np.array([cells[row] for row in rows], np.object_)
        for name, cells in prepared.dataset.metadata.items()
    }
    chances = np.stack([seen[f"probability_{name}"] for name in classes], 1).astype(np.float64)
    predictions = np.array([place[name] for name in seen["prediction"]])

    def column(name: str) -> Array:
        values = seen[name].to_numpy()
        return values.astype(bool) if name.endswith(".present") else values

    return Measurements(
        ids=ids,
        labels=prepared.dataset.labels[rows],
        predictions=predictions,
        targets=predictions,
        logits=np.log(np.maximum(chances, np.finfo(np.float64).tiny)).astype(np.float32),
        classes=classes,
        positive=prepared.positive,
        columns=column,
        layer="",
        explanations=Trust.TRUSTED,
        seed=seed,
        metadata=metadata,
        groups=groups(metadata, ids),
        words=prepared.domain.domain.words,
        shift=prepared.loaded.shift,
    )


def _measured(table: Measurements, artifact: Artifact) -> bool:
    """Tell whether the audit measured which images show an artifact."""
    try:
        return all(each.present.dtype == np.bool_ for each in shown(artifact, table, ()))
    except KeyError:  # its finder failed, or an earlier melaudit had another one
        return False
