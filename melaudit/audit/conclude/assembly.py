"""Puts the findings document together: verdict, counts, warnings, provenance."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from melaudit.audit.conclude.acceptance import judged
from melaudit.audit.conclude.outcome import Outcome
from melaudit.audit.conclude.performance import doubts
from melaudit.audit.conclude.shortfalls import shortfalls
from melaudit.audit.conclude.verdict import coverage_doubt, judge, one_answer
from melaudit.audit.discovery.discovery import DISCOVERY
from melaudit.audit.groups.grouping import GROUPING
from melaudit.audit.measure.store import Store
from melaudit.audit.prepare.configuration import Configuration, as_plain
from melaudit.audit.prepare.intended_use import stated
from melaudit.audit.prepare.preparation import Prepared
from melaudit.audit.prepare.provenance import versions
from melaudit.detectors.interface import Detector
from melaudit.errors import ConfigurationError
from melaudit.findings import (
    UNSEEN_FOLDERS,
    DetectorInfo,
    Explanations,
    Failed,
    Findings,
    Inputs,
    Operation,
    Provenance,
)
from melaudit.images.dataset import Dataset
from melaudit.wording.detectors import called

NO_LOSS = frozenset({"not_an_image_extension", "apple_double", "repeated_row"})
"""Reasons to leave out a file or row that take no image away from the audit."""


@dataclass(frozen=True)
class Clock:
    """When a run began: the only times that are written into what it leaves behind."""

    started: datetime
    ticks: float | None
    """None where the time was given, and none is measured."""

    @classmethod
    def start(cls) -> Clock:
        """Start the clock now, or at the time in SOURCE_DATE_EPOCH, for the same bytes every time.

        See https://reproducible-builds.org/specs/source-date-epoch/. Raises ConfigurationError if
        that is not a number of seconds.
        """
        given = os.environ.get("SOURCE_DATE_EPOCH")
        if not given:
            return cls(datetime.now(UTC), time.monotonic())
        try:
            return cls(datetime.fromtimestamp(int(given), UTC), None)
        except (ValueError, OverflowError, OSError) as error:
            raise ConfigurationError(
                f"the environment variable SOURCE_DATE_EPOCH is {given!r}; expected a whole number "
                "of seconds since 1970, or nothing"
            ) from error

    def again(self, seconds: float) -> Clock:
        """Return a clock that goes on from so many seconds, whatever passed in between."""
        return Clock(self.started, None if self.ticks is None else time.monotonic() - seconds)

    def seconds(self) -> float:
        """Return the seconds since the start; 0 where none are measured."""
        return 0.0 if self.ticks is None else round(time.monotonic() - self.ticks, 1)


def assemble(
    configuration: Configuration,
    prepared: Prepared,
    outcome: Outcome,
    detectors: Sequence[Detector],
    store: Store,
    engine: str,
    operations: tuple[Operation, ...],
    notes: tuple[str, ...],
    clock: Clock,
    command: str,
) -> Findings:
    """Return the whole findings document of a run; `notes` are for whoever reads it."""
    conclusions = outcome.conclusions
    uncertain = [
        doubt
        for doubt in (
            *prepared.loaded.doubts,
            one_answer(
                outcome.measurements.labels,
                outcome.measurements.predictions,
                prepared.classes,
            ),
            doubts(outcome.performance),
            coverage_doubt(
                prepared.dataset.labels,
                store.column("status") == "skipped",
                prepared.classes,
                configuration.max_skipped,
                _unopened(prepared.dataset),
                _unseen(prepared.dataset),
            ),
        )
        if doubt
    ]
    read = inputs(prepared, store)
    use = judged(
        stated(configuration.intended_use),
        outcome.performance,
        prepared.classes,
        prepared.positive,
    )
    asked = (DetectorInfo(d.id, d.title, d.subject, d.asks, d.why) for d in detectors)
    listed = (*asked, GROUPING, DISCOVERY)
    missing = shortfalls(
        detectors,
        conclusions,
        outcome.controls,
        outcome.checked.trust,
        doubts=uncertain,
        images=read.read,
        edits=configuration.edits,
        limits=() if use is None else use.acceptance,
        failed=[
            (called(listed, each.detector), each)
            for each in outcome.skipped
            if isinstance(each, Failed)
        ],
    )
    verdict, reason = judge(
        conclusions.findings,
        missing,
        configuration.fail_on,
        conclusions.not_found,
        conclusions.reactions,
        outcome.controls,
        () if use is None else use.acceptance,
        lambda result: called(listed, result),
    )
    return Findings(
        verdict=verdict,
        reason=reason,
        explanations=Explanations(
            outcome.checked.trust,
            engine,
            outcome.measurements.layer,
            outcome.checked.checks,
            operations,
        ),
        performance=outcome.performance,
        findings=conclusions.findings,
        not_found=conclusions.not_found,
        clusters=outcome.groups.clusters,
        skipped=outcome.skipped,
        prototypes=outcome.groups.prototypes,
        outliers=outcome.groups.outliers,
        slices=outcome.groups.slices,
        concepts=outcome.concepts,
        probes=outcome.probes,
        inputs=read,
        provenance=Provenance(
            model=prepared.loaded.name,
            model_sha256=prepared.loaded.sha256,
            architecture=prepared.loaded.architecture,
            data=configuration.data.name,
            data_fingerprint=prepared.dataset.fingerprint,
            classes=prepared.classes,
            positive=None if prepared.positive is None else prepared.classes[prepared.positive],
            preprocessing=prepared.preprocessing.describe(),
            config=as_plain(configuration),
            command=command,
            versions=versions(),
            seed=configuration.seed,
            device=str(prepared.device),
            started=clock.started.isoformat(timespec="seconds"),
            seconds=clock.seconds(),
        ),
        warnings=tuple(dict.fromkeys([*uncertain, *notes])),
        controls=outcome.controls,
        intended_use=use,
        reactions=conclusions.reactions,
        edits=outcome.edits,
        corruptions=outcome.corruptions,
        drift=conclusions.drift,
        skin_tone=conclusions.skin_tone,
        shortfalls=missing,
        domain=prepared.domain.info,
        tests=conclusions.tests,
        detectors=listed,
    )


def _unopened(dataset: Dataset) -> int:
    """Count the images that were named and not even there."""
    known = NO_LOSS | UNSEEN_FOLDERS
    return sum(n for reason, n in dataset.skipped.items() if reason not in known)


def _unseen(dataset: Dataset) -> tuple[str, ...]:
    """Return a name for each folder that was not looked into; only the first few are known."""
    names: list[str] = []
    for reason in sorted(UNSEEN_FOLDERS & dataset.skipped.keys()):
        known = dataset.examples.get(reason, ())
        names += [*known, *["and another"] * (dataset.skipped[reason] - len(known))]
    return tuple(names)


def inputs(prepared: Prepared, store: Store) -> Inputs:
    """Count what became of every image that was named."""
    flagged: Counter[str] = Counter()
    skipped: Counter[str] = Counter(prepared.dataset.skipped)
    status = store.column("status")
    for state, reasons in zip(status, store.column("reasons"), strict=True):
        for reason in str(reasons).split(","):
            if reason and state != "ok":
                (skipped if state == "skipped" else flagged)[reason] += 1
    return Inputs(
        read=int(np.sum(status != "skipped")),
        flagged=dict(sorted(flagged.items())),
        skipped=dict(sorted(skipped.items())),
        drawn_from=prepared.dataset.drawn_from,
    )
