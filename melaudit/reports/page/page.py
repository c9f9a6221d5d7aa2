"""The page as data: every string, length and picture id that the templates show.

`build_page` gathers the sections; those that come first get pictures first, while the budget lasts.
Templates only loop and branch: they compute nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.reports.interface import Record
from melaudit.reports.page import heatmap, method
from melaudit.reports.page.glossary import entries
from melaudit.reports.page.plates import MAX_BYTES, MAX_TILES, Plate, Plates
from melaudit.reports.page.sections.artifacts import ArtifactSection, artifacts
from melaudit.reports.page.sections.clusters import ClusterSection, clusters
from melaudit.reports.page.sections.concepts import ConceptSection, concepts
from melaudit.reports.page.sections.drift import DriftSection, drift
from melaudit.reports.page.sections.finding_cards import CardSection, cards, of_the_model
from melaudit.reports.page.sections.gallery import GalleryGroup, gallery
from melaudit.reports.page.sections.in_data import DataSection, in_data
from melaudit.reports.page.sections.inputs import InputsSection, inputs
from melaudit.reports.page.sections.landscape import LandscapeSection, landscape
from melaudit.reports.page.sections.limits import does_not_show
from melaudit.reports.page.sections.mitigations import MitigationCard, mitigations
from melaudit.reports.page.sections.not_found import ControlRow, NotFoundRow, controls, not_found
from melaudit.reports.page.sections.performance.figures import PerformanceSection, performance
from melaudit.reports.page.sections.performance.intended_use import UseSection, intended_use
from melaudit.reports.page.sections.performance.predictions import PredictionSection, predictions
from melaudit.reports.page.sections.performance.skin_tone import ToneSection, skin_tone
from melaudit.reports.page.sections.provenance import ProvenanceSection, provenance
from melaudit.reports.page.sections.robustness.corruptions import CorruptionSection, corruptions
from melaudit.reports.page.sections.robustness.reactions import ReactionCard, reactions
from melaudit.reports.page.sections.summary import Summary, summary
from melaudit.reports.page.sections.tests_of_run import TestSection, tests
from melaudit.reports.page.sections.trust import TrustSection, trust
from melaudit.wording import terms

SECTIONS = (
    ("summary", "Verdict"),
    ("findings", "Findings"),
    ("mitigations", "What was done about it"),
    ("reactions", "Robustness"),
    ("in-data", "In your data, not seen in your model"),
    ("drift", "Training and audited images"),
    ("trust", "Can the maps be trusted?"),
    ("artifacts", "Artifacts"),
    ("landscape", "Map of strategies"),
    ("clusters", "Clusters"),
    ("concepts", "Methods and channels"),
    ("gallery", "Right and wrong"),
    ("intended-use", "Intended use and limits"),
    ("performance", "Performance"),
    ("inputs", "Skipped and flagged"),
    ("not-found", "What would have been seen"),
    ("tests", "Every test of this run"),
    ("limits", "What this does not show"),
    ("method", "Method and references"),
    ("glossary", "Glossary"),
    ("provenance", "Provenance"),
)


@dataclass(frozen=True)
class Link:
    """An entry of the contents."""

    anchor: str
    title: str
    count: str


@dataclass(frozen=True)
class Page:
    """Everything the templates show."""

    title: str
    model: str
    architecture: str
    images: str
    date: str
    contents: tuple[Link, ...]
    summary: Summary
    trust: TrustSection
    cards: CardSection
    mitigations: tuple[MitigationCard, ...]
    reactions: tuple[ReactionCard, ...]
    corruptions: CorruptionSection | None
    in_data: DataSection
    drift: DriftSection | None
    tests: TestSection
    artifacts: ArtifactSection
    landscape: LandscapeSection | None
    clusters: ClusterSection
    concepts: ConceptSection
    gallery: tuple[GalleryGroup, ...]
    performance: PerformanceSection
    predictions: PredictionSection
    skin_tone: ToneSection | None
    not_found: tuple[NotFoundRow, ...]
    not_found_note: str
    controls: tuple[ControlRow, ...]
    inputs: InputsSection
    limits: tuple[str, ...]
    method: tuple[tuple[str, str], ...]
    references: tuple[str, ...]
    glossary: tuple[tuple[str, str, str], ...]
    """(term, explanation, anchor)."""
    intended_use: UseSection | None
    provenance: ProvenanceSection
    maps_shown: bool
    """Whether maps are shown as explanations; False when they cannot be used."""
    maps_note: str
    """At what resolution the maps are drawn."""
    plates: tuple[Plate, ...]
    left_out: str
    """How many pictures did not fit, in words; empty when all did."""
    legend: tuple[tuple[str, str, str], ...]
    version: str


def build_page(record: Record, *, max_bytes: int = MAX_BYTES, max_tiles: int = MAX_TILES) -> Page:
    """Gather what the report of a record shows, with at most `max_tiles` pictures of `max_bytes`.

    Raises ValueError when a picture of the record is no WebP image.
    """
    findings = record.findings
    maps = findings.explanations.status.usable
    plates = Plates(record.exhibits, max_tiles=max_tiles, max_bytes=max_bytes)
    card_section = cards(record, plates, maps=maps)
    cluster_section = clusters(record, plates, maps=maps)
    concept_section = concepts(record, plates, maps=maps)
    groups = gallery(record, plates, maps=maps)
    predicted = predictions(findings, plates, maps=maps)
    trust_section = trust(record, plates)
    strategies = landscape(record, len(cluster_section.cards) + len(cluster_section.ordinary))
    anchors = {c.id: c.anchor for c in card_section.cards}
    allowed = in_data(findings)
    anchors |= {r.id: r.anchor for r in allowed.rows}
    first_screen = summary(record, plates, anchors)
    looked_for = artifacts(findings, anchors)
    tested = tests(findings)
    missing, missing_note = not_found(findings)
    counts = {
        "findings": len(of_the_model(findings.findings)),
        "reactions": len(findings.reactions),
        "in-data": len(allowed.rows),
        "tests": len(findings.tests),
        "clusters": len(findings.clusters),
        "not-found": len(findings.not_found),
    }
    there = {
        "mitigations": bool(findings.mitigations),
        "reactions": bool(findings.reactions or findings.corruptions),
        "in-data": bool(allowed.rows),
        "drift": bool(findings.drift),
        "tests": bool(tested.lines),
        "artifacts": bool(looked_for.rows),
        "landscape": strategies is not None,
        "clusters": cluster_section.there,
        "concepts": bool(concept_section.strips or concept_section.cards),
        "gallery": bool(groups),
        "intended-use": findings.intended_use is not None,
    }
    model = wording.name(findings.provenance.model, 48)
    return Page(
        title=f"melaudit: {terms.VERDICTS[findings.verdict]}, {model}",
        model=model,
        architecture=wording.name(findings.provenance.architecture, 40),
        images=f"{wording.many_unbroken(findings.inputs.read, 'image')} from "
        f"{wording.name(findings.provenance.data, 32)}",
        date=wording.date(findings.provenance.started),
        contents=tuple(
            Link(anchor, title, wording.count(counts[anchor]) if counts.get(anchor) else "")
            for anchor, title in SECTIONS
            if there.get(anchor, True)
        ),
        summary=first_screen,
        trust=trust_section,
        cards=card_section,
        mitigations=mitigations(findings.mitigations),
        reactions=reactions(findings),
        corruptions=corruptions(findings),
        in_data=allowed,
        drift=drift(findings),
        tests=tested,
        artifacts=looked_for,
        landscape=strategies,
        clusters=cluster_section,
        concepts=concept_section,
        gallery=groups,
        performance=performance(findings),
        predictions=predicted,
        skin_tone=skin_tone(findings),
        not_found=missing,
        not_found_note=missing_note,
        controls=controls(findings),
        inputs=inputs(findings),
        limits=does_not_show(findings),
        method=method.METHOD,
        references=method.REFERENCES,
        glossary=entries(findings.domain.words),
        intended_use=intended_use(findings),
        provenance=provenance(findings),
        maps_shown=maps,
        maps_note=_resolution(record),
        plates=plates.all,
        left_out=_left_out(plates.left_out),
        legend=heatmap.legend_stops(),
        version=wording.name(findings.provenance.versions.get("melaudit", "")),
    )


def _left_out(pictures: int) -> str:
    if not pictures:
        return ""
    many = wording.many_unbroken(pictures, "picture or map", "pictures and maps")
    return f"{many} left out to keep this file small enough to open anywhere."


def _resolution(record: Record) -> str:
    shapes = sorted({e.relevance.shape for e in record.exhibits.values()})
    if not shapes:
        return ""
    height, width = shapes[-1]
    coarse = max(height, width) <= heatmap.COARSE
    drawn = (
        "in blocks, one per value, not smoothed"
        if coarse
        else "like the images, scaled smoothly to the size shown"
    )
    return (
        f"Maps have {width} \u00d7 {height} values and are drawn {drawn}. Colours are full at the "
        f"strongest {wording.rounded_percent(1 - heatmap.SATURATION, 1)} of each map's values."
    )
