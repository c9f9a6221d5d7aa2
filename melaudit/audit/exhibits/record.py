"""The record of a run: the findings, and every picture that a report shows beside them."""

from __future__ import annotations

from collections.abc import Sequence

from melaudit.audit.conclude.outcome import Outcome
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.exhibits.details import discovered_details, pattern_details
from melaudit.audit.exhibits.edit_exhibits import edit_exhibits
from melaudit.audit.exhibits.exhibits import (
    exhibits,
    explained,
    gallery,
    mean_maps,
    second_opinions,
    shown,
    strips,
)
from melaudit.audit.exhibits.landscape import landscape
from melaudit.audit.measure.visual_words import Sight
from melaudit.audit.prepare.preparation import Prepared
from melaudit.detectors.interface import Detector
from melaudit.findings import Findings
from melaudit.observer import Observer
from melaudit.reports.interface import ConceptView, Record


def make_record(
    findings: Findings,
    result: Outcome,
    cards: tuple[ConceptView, ...],
    prepared: Prepared,
    detectors: Sequence[Detector],
    laboratory: Laboratory,
    sight: Sight,
    observer: Observer,
) -> Record:
    """Choose the images that a report shows, and explain those again whose maps were not kept.

    `cards` are the channels that matter, which the findings name; `sight` what the pass noted
    that groups are told by. The model is looked through by the viewer of the laboratory.
    """
    viewer, dataset, table = laboratory.viewer, prepared.dataset, result.measurements
    groups = gallery(table)
    telling = (*findings.performance.surest_mistakes, *findings.performance.unsure_right)
    ids = shown(findings.findings, result.clusters, groups, telling)
    observer.stage("Explaining the images that are shown", len(ids))
    pictures = exhibits(ids, dataset, table, viewer, observer)
    # One image that a finding shows and one picked at random: the same layer at work on both.
    usual = next((identity for group in groups for identity in group.images), None)
    pair = dict.fromkeys(i for i in (ids[0] if ids else None, usual) if i in pictures)
    both = [identity for identity in pair if identity is not None]
    looked_through = list(explained(both, dataset, viewer))
    edits, curves = edit_exhibits(findings.findings, detectors, table, laboratory)
    return Record(
        findings=findings,
        exhibits=pictures,
        gallery=groups,
        mean_maps=mean_maps(result.clusters, table),
        strips=strips(looked_through, viewer),
        edits=edits,
        curves=curves,
        opinions=second_opinions(looked_through, viewer),
        landscape=landscape(table, result.clusters) if result.clusters else None,
        concepts=cards,
        parts=(
            *pattern_details(result.clusters, table, dataset, viewer, sight),
            *discovered_details(findings.findings, detectors, table, laboratory),
        ),
    )
