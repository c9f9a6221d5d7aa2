"""Robustness: what the model says of pictures that lose quality, step by step.

Forward passes only, on a few images: each is shown once as it is and once for each kind and step.
Nothing here is about shortcuts. What is tested is what is said: no kind or strength stands for
another.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.painting import corruptions
from melaudit.artifacts.picture import reduced
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.findings import Corruption, CorruptionStep, Figure
from melaudit.logits import predictions
from melaudit.measurements import Measurements
from melaudit.observer import Observer
from melaudit.statistics.resampling import share
from melaudit.statistics.sampling import sample

Decisions = NDArray[np.int64]


def corrupted(
    table: Measurements, laboratory: Laboratory, images: int, observer: Observer
) -> tuple[Corruption, ...]:
    """Return how decisions on up to `images` images change as each kind of quality is lost.

    The images are a seeded sample, balanced over the labels. None for 0 images.
    """
    wanted = np.flatnonzero(sample(table.labels, images, table.seed))
    if not len(wanted):
        return ()
    kinds = corruptions.CORRUPTIONS
    observer.stage("Taking quality from images", len(kinds), "kinds")
    shown = list(laboratory.pictures(wanted))
    if not shown:  # readable in the pass, gone since
        return ()
    rows = np.array([row for row, _ in shown])
    pictures = [_as_the_model_sees(laboratory, picture) for _, picture in shown]
    before = _decisions(laboratory, pictures)
    found = []
    for kind in kinds:
        worse = (
            # The noise of an image is the same at every step, only stronger.
            kind.apply(picture, strength, np.random.default_rng([table.seed, int(row)]))
            for strength in kind.steps
            for row, picture in zip(rows, pictures, strict=True)
        )
        decided = _decisions(laboratory, worse).reshape(len(kind.steps), len(rows))
        steps = [_step(table, rows, before, before, 0, 0.0)]
        for severity, (strength, after) in enumerate(
            zip(kind.steps, decided, strict=True), start=1
        ):
            steps.append(_step(table, rows, before, after, severity, strength))
        labelled = int((table.labels[rows] >= 0).sum())
        found.append(Corruption(kind.id, kind.title, kind.unit, len(rows), labelled, tuple(steps)))
        observer.advance(1)
    return tuple(found)


def _as_the_model_sees(laboratory: Laboratory, picture: RGB) -> RGB:
    """Return the picture at the size that the model takes it in.

    So that the model meets all of a corruption, and nothing of it is lost as the picture shrinks.
    """
    height, width = picture.shape[:2]
    shorter = min(laboratory.viewer.preprocessing.image_size)
    return reduced(picture, max(1, round(shorter * max(height, width) / min(height, width))))


def _decisions(laboratory: Laboratory, pictures: Iterable[RGB]) -> Decisions:
    """Return the class (n,) that the model predicts for each picture."""
    seen = [laboratory.look(batch).logits for batch in laboratory.viewer.full_batches(pictures)]
    decided: Decisions = predictions(np.concatenate(seen)).astype(np.int64)
    return decided


def _step(
    table: Measurements,
    rows: NDArray[np.int64],
    before: Decisions,
    after: Decisions,
    severity: int,
    strength: float,
) -> CorruptionStep:
    labels = table.labels[rows]
    known = labels >= 0
    return CorruptionStep(
        severity=severity,
        strength=strength,
        changed=_share(table, rows, after != before),
        accuracy=_share(table, rows[known], (after == labels)[known]) if known.any() else None,
    )


def _share(table: Measurements, rows: NDArray[np.int64], is_true: NDArray[np.bool_]) -> Figure:
    patients = None if table.groups is None else table.groups[rows]
    found = share(is_true, table.seed, patients)
    return Figure(found.value, found.low, found.high)
