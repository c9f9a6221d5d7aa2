"""What a report shows of interventions: images with and without an artifact, and dose curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from melaudit.artifacts import held
from melaudit.artifacts.interface import RGB, Artifact
from melaudit.audit.edits.attempts import DOSES, draws
from melaudit.audit.edits.interventions import as_shown
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.exhibits.exhibits import webp
from melaudit.detectors.interface import Detector
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.shown import shown
from melaudit.detectors.rungs.trials import called, log_odds
from melaudit.findings import Finding, Rung
from melaudit.measurements import Measurements, Trials
from melaudit.reports.interface import Curve, Edit, Series, Version
from melaudit.statistics.estimates import proportion

SHOWN = 4
"""Images of a finding that are shown edited."""


def edit_exhibits(
    findings: Sequence[Finding],
    detectors: Sequence[Detector],
    table: Measurements,
    laboratory: Laboratory,
) -> tuple[tuple[Edit, ...], tuple[Curve, ...]]:
    """Return edited images and dose curves of the findings that rest on edits.

    Every second image shown is the one whose decision moved the most, of those not shown yet; the
    others are drawn at random, so that a reader sees the usual too.
    """
    artifacts = {d.id: d.artifact for d in detectors if d.artifact is not None}
    every = tuple(artifacts.values())
    edits: list[Edit] = []
    curves: list[Curve] = []
    for finding in findings:
        artifact = artifacts.get(finding.detector)
        if artifact is None or not any(e.rung is Rung.DEPENDENCE for e in finding.evidence):
            continue
        each = {each.key: each for each in shown(artifact, table, every)}[finding.id]
        found = depend(table, each.key, each.artifact.phrases)
        if isinstance(found, Dependence):
            trials = table.trials[each.key]
            artifact = as_shown(each, table, laboratory)
            edits += _edits(finding, artifact, found, trials, table, laboratory)
            curves += _curves(finding, artifact, found, trials)
    return tuple(edits), tuple(curves)


@dataclass(frozen=True)
class _Version:
    """One version of an image, and the edit that made it; None for the image as it is."""

    title: str
    edit: str | None
    painted: Callable[[], RGB]


def _edits(
    finding: Finding,
    artifact: Artifact,
    found: Dependence,
    trials: Trials,
    table: Measurements,
    laboratory: Laboratory,
) -> Iterator[Edit]:
    """Yield images with the artifact put in beside its placebos, or with it taken out.

    Each version is one that the model was shown in the trials, with what it said of it there.
    """
    name = "add" if found.add is not None else "remove"
    said = _said(trials, name)
    for row, image in laboratory.pictures(_telling(trials, name, found.target, table.seed)):
        if found.add is not None:
            versions = _versions_with(artifact, row, image, table.seed)
        else:
            removed = held.remove(artifact, image, laboratory.find(artifact, row, image).mask).image
            versions = [_Version(artifact.phrases.taken_out, name, partial(_same, removed))]
        whole = _Version("as it is", None, partial(_same, image))
        shown = [v for v in (whole, *versions) if (row, v.edit) in said]
        logits = np.stack([said[row, version.edit] for version in shown])
        chances = laboratory.viewer.probabilities(torch.from_numpy(logits))[:, found.target]
        yield Edit(
            finding=finding.id,
            image=table.ids[row],
            target=found.classes[found.target],
            versions=tuple(
                Version(version.title, webp(version.painted()), chance)
                for version, chance in zip(shown, chances.tolist(), strict=True)
            ),
        )


def _same(picture: RGB) -> RGB:
    return picture


def _versions_with(artifact: Artifact, row: int, image: RGB, seed: int) -> list[_Version]:
    """Return the edits of an image by the same draws as in the trials."""
    edited = held.add(artifact, image, draws(artifact, row, seed))
    placebos = held.placebos(artifact, image, edited, draws(artifact, row, seed + 1))
    made = [_Version(artifact.phrases.put_in, "add", partial(_same, edited.image))]
    for p in sorted(placebos, key=lambda p: p.look_alike is not None):
        kind = "placebo" if p.look_alike is None else "look-alike"
        made.append(_Version(f"{kind}: {p.title}", p.id, partial(getattr, p, "image")))
    return made


def _said(trials: Trials, name: str) -> dict[tuple[int, str | None], NDArray[np.float32]]:
    """Return (row, edit) -> what the model said, (K,); `name` is the edit of images as they are."""
    said: dict[tuple[int, str | None], NDArray[np.float32]] = {}
    for edit in trials.edits:
        for at in trials.of(edit.id).tolist():
            said[int(trials.rows[at]), edit.id] = trials.after[at]
    for at in trials.of(name).tolist():
        said[int(trials.rows[at]), None] = trials.before[at]
    return said


def _telling(trials: Trials, name: str, target: int, seed: int) -> NDArray[np.int64]:
    """Choose rows to show: by turns the most moved and one at random."""
    at = trials.of(name)
    moved = log_odds(trials.after[at], target) - log_odds(trials.before[at], target)
    sign = -1 if name == "remove" else 1
    by_change = list(trials.rows[at][np.argsort(-sign * moved, kind="stable")])
    at_random = list(np.random.default_rng(seed).permutation(trials.rows[at]))
    picked: dict[int, None] = {}
    for turn in range(2 * SHOWN):
        queue = at_random if turn % 2 else by_change
        while queue and int(queue[0]) in picked:
            queue.pop(0)
        if queue and len(picked) < SHOWN:
            picked[int(queue.pop(0))] = None
    return np.array(list(picked), np.int64)


def _curves(
    finding: Finding, artifact: Artifact, found: Dependence, trials: Trials
) -> Iterator[Curve]:
    """Yield the share of decisions by the dose of the artifact, its placebo's beside it."""
    if found.add is None or not len(trials.of("add", DOSES[0])):
        return
    rows = trials.rows[trials.of("add", DOSES[0])]
    predicted = found.classes[found.target]
    lines = []
    for identity, title in (
        ("add", artifact.phrases.shows),
        (found.add.placebo.id, f"placebo: {found.add.placebo.title}"),
    ):
        doses = (*DOSES, 1.0)
        answers = [trials.before[_among(trials, "add", 1.0, rows)]]
        answers += [trials.after[_among(trials, identity, dose, rows)] for dose in doses]
        shares = [
            proportion(int(called(logits, found.target).sum()), len(logits)) for logits in answers
        ]
        lines.append(
            Series(
                title=title,
                x=(0.0, *doses),
                y=tuple(share.value for share in shares),
                low=tuple(share.low for share in shares),
                high=tuple(share.high for share in shares),
            )
        )
    yield Curve(
        finding=finding.id,
        title=f"Share of {len(rows)} images predicted {predicted}, by {artifact.doses}",
        x_label=f"{artifact.doses} (1: as usual)",
        y_label=f"share predicted {predicted}",
        series=tuple(lines),
    )


def _among(trials: Trials, name: str, dose: float, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    at = trials.of(name, dose)
    chosen: NDArray[np.int64] = at[np.isin(trials.rows[at], rows)]
    return chosen
