"""A model that no artifact moves passes, at the number of edits that is the default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.artifacts.interface import Artifact
from melaudit.artifacts.kinds.picture_size import PictureSize
from melaudit.audit.conclude.conclusions import conclude
from melaudit.audit.conclude.shortfalls import EDITS, shortfalls
from melaudit.audit.conclude.verdict import judge
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.rungs.trials import left_alone
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.findings import Severity, Trust, Verdict
from melaudit.measurements import GRID, Edit, Measurements, Trials

Make = Callable[..., Measurements]

IMAGES = 320
LABELS = np.repeat([0, 1], IMAGES // 2)
JITTER = 0.05
"""Spread of what any edit does to a margin: a decision or two turns, one way or the other."""


def judged(
    make: Make, artifacts: Sequence[Artifact], moves: dict[str, float]
) -> tuple[Verdict, str]:
    """Judge a model whose margins move by `moves` with an artifact put in, and with no placebo."""
    rng = np.random.default_rng(0)
    margins = np.where(LABELS == 1, 2.0, -2.0) + rng.normal(0, 1.4, IMAGES)
    logits = np.stack([np.zeros(IMAGES), margins], 1).astype(np.float32)
    rows = np.concatenate([np.flatnonzero(LABELS == k)[:EDITS] for k in (0, 1)])
    placebos = [Edit(name, f"a {name} placebo", "add") for name in ("ground", "texture")]

    def tried(artifact: Artifact) -> Trials:
        edits = (Edit("add", f"{artifact.phrases.shows} put in"), *placebos)
        before = np.tile(logits[rows], (len(edits), 1))
        after = before.copy()
        after[:, 1] += rng.normal(0, JITTER, len(after))
        after[: len(rows), 1] += moves.get(artifact.id, 0.0)
        return left_alone(
            Trials(
                edits=edits,
                edit=np.repeat(np.arange(len(edits)), len(rows)),
                rows=np.tile(rows, len(edits)),
                dose=np.ones(len(before)),
                before=before,
                after=after,
                distance=np.ones(len(before)),
            )
        )

    columns: dict[str, NDArray[Any]] = {}
    for each in artifacts:  # no image shows it
        columns[f"{each.id}.present"] = np.zeros(IMAGES, np.bool_)
        columns[f"{each.id}.kind"] = np.full(IMAGES, -1)
        columns[f"{each.id}.mask"] = np.zeros((IMAGES, GRID, GRID), np.uint8)
        columns |= {f"{each.id}.{c}": np.zeros(IMAGES) for c in ("share", "signed", "area")}
    table = make(columns, labels=LABELS, predictions=(margins > 0).astype(int), logits=logits)
    table = dataclasses.replace(table, trials={each.id: tried(each) for each in artifacts})
    detectors = [ArtifactDetector(each, artifacts) for each in artifacts]
    found = conclude(detectors, table)
    open_ = shortfalls(detectors, found, (), Trust.TRUSTED, doubts=(), images=IMAGES, edits=EDITS)
    return judge(found.findings, open_, Severity.HIGH, found.not_found, found.reactions)


def test_a_model_that_no_artifact_moves_passes_at_the_default_number_of_edits(
    measurements: Make,
) -> None:
    verdict, reason = judged(measurements, DERMOSCOPY.artifacts, {})
    assert verdict is Verdict.PASS, reason


def test_an_artifact_that_may_turn_a_tenth_of_the_decisions_keeps_a_model_from_a_pass(
    measurements: Make,
) -> None:
    some = [a for a in DERMOSCOPY.artifacts if a.id in ("brightness", "hair")]
    verdict, reason = judged(measurements, some, {"brightness": 0.7})  # turns 7 of 100
    assert verdict is Verdict.INCONCLUSIVE
    assert "Not decided: Dark picture (" in reason


@pytest.mark.parametrize(("spread", "passes"), [(0.0, True), (0.1, False)])
def test_what_all_images_have_to_the_same_degree_needs_no_edit(
    spread: float, passes: bool, measurements: Make
) -> None:
    columns: dict[str, NDArray[Any]] = {
        "picture_size.present": np.ones(IMAGES, np.bool_),
        "picture_size.score": 0.7 + spread * np.linspace(0, 1, IMAGES),
        "picture_size.mask": np.ones((IMAGES, GRID, GRID), np.uint8),
        **{f"picture_size.{c}": np.zeros(IMAGES) for c in ("share", "signed", "area")},
    }
    logits = np.stack([np.zeros(IMAGES), np.where(LABELS == 1, 2.0, -2.0)], 1).astype(np.float32)
    table = measurements(columns, labels=LABELS, predictions=LABELS, logits=logits)
    detectors = [ArtifactDetector(PictureSize(), ())]
    found = conclude(detectors, table)
    open_ = shortfalls(detectors, found, (), Trust.TRUSTED, doubts=(), images=IMAGES, edits=EDITS)
    verdict, reason = judge(found.findings, open_, Severity.HIGH, found.not_found)
    assert (verdict is Verdict.PASS) is passes
    assert ("the model cannot tell them apart by it: picture size" in reason) is passes
