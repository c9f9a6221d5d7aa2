"""From the store to conclusions: the second half of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from melaudit.audit.conclude.conclusions import (
    Checked,
    Conclusions,
    Uncorrected,
    check_maps,
    gathered,
)
from melaudit.audit.conclude.controls import controls
from melaudit.audit.conclude.courses import tried
from melaudit.audit.conclude.performance_details import detailed
from melaudit.audit.conclude.subgroup_performance import by_column, slices
from melaudit.audit.conclude.table import artifacts, performed
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.feedback import refit
from melaudit.audit.groups.grouping import Groups, group
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.visual_words import NOTHING, Sight
from melaudit.audit.prepare.preparation import Prepared
from melaudit.detectors.interface import Detector
from melaudit.findings import (
    Cluster,
    Concept,
    Control,
    Corruption,
    Performance,
    Probe,
    Skipped,
    Tried,
)
from melaudit.measurements import Measurements


@dataclass(frozen=True)
class Outcome:
    """Everything that follows from the measurements."""

    measurements: Measurements
    checked: Checked
    conclusions: Conclusions
    groups: Groups
    performance: Performance
    skipped: tuple[Skipped, ...]
    controls: tuple[Control, ...]
    probes: tuple[Probe, ...] = ()
    concepts: tuple[Concept, ...] = ()
    edits: tuple[Tried, ...] = ()
    corruptions: tuple[Corruption, ...] = ()

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """The groups of images, the most suspicious first."""
        return self.groups.clusters


@dataclass(frozen=True)
class Grouped:
    """What is known of a model before its tests are corrected."""

    judged: Measurements
    """With what the checks of the maps say of these."""
    checked: Checked
    groups: Groups
    uncorrected: Uncorrected
    skipped: tuple[Skipped, ...] = ()
    """What was discovered and not tried."""


def grouped(
    table: Measurements,
    store: Store,
    detectors: tuple[Detector, ...],
    laboratory: Laboratory | None = None,
    sight: Sight = NOTHING,
    skipped: tuple[Skipped, ...] = (),
) -> Grouped:
    """Check the maps, group the images and let the detectors conclude.

    skipped: what was discovered and not tried.

    The model is asked again only through the laboratory, about groups that need not be there.
    """
    checked = check_maps(detectors, table)
    judged = dataclasses.replace(table, explanations=checked.trust)
    groups = group(judged, artifacts(store), laboratory, sight)
    return Grouped(judged, checked, groups, gathered(detectors, judged, groups.claims), skipped)


def outcome(
    found: Grouped,
    conclusions: Conclusions,
    store: Store,
    prepared: Prepared,
    corruptions: tuple[Corruption, ...] = (),
) -> Outcome:
    """Put together everything that follows from the measurements."""
    table, checked, groups = found.judged, found.checked, found.groups
    present = artifacts(store)
    parts = slices(table.labels, table.predictions, prepared.classes, present)
    figures = detailed(performed(table), table)
    columns = by_column(table.labels, table.predictions, prepared.classes, table.metadata)
    return Outcome(
        measurements=table,
        checked=checked,
        conclusions=conclusions,
        groups=groups,
        performance=dataclasses.replace(figures, slices=parts, columns=columns),
        skipped=(*checked.skipped, *conclusions.skipped, *groups.skipped, *found.skipped),
        controls=controls(table, present),
        edits=tried(table),
        corruptions=corruptions,
    )


def reviewed(result: Outcome, reviews: Mapping[str, str] | None) -> Outcome:
    """Add the probes of what a reviewer marked (image -> artifact), if any."""
    if reviews is None:
        return result
    probes, apart = refit(reviews, result.measurements)
    return dataclasses.replace(result, probes=probes, skipped=(*result.skipped, *apart))
