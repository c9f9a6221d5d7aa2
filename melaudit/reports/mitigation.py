"""One mitigation as a page of its own, in the style of the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from melaudit import templates, wording
from melaudit.findings import Findings, Mitigated
from melaudit.publish import publish
from melaudit.reports.page.plates import Plate
from melaudit.reports.page.sections.mitigations import MitigationCard, card


@dataclass(frozen=True)
class MitigationPage:
    """Everything the template shows."""

    title: str
    model: str
    date: str
    found: str
    """The finding as the audit put it."""
    mitigations: tuple[MitigationCard, ...]
    after: tuple[str, ...]
    """Commands that audit the new weights, and compare."""
    version: str
    plates: tuple[Plate, ...] = ()
    legend: tuple[tuple[str, str, str], ...] = ()
    """The page shows no pictures."""


def build_mitigation_page(made: Mitigated, findings: Findings) -> MitigationPage:
    """Gather what the page of a mitigation shows."""
    finding = next((f for f in findings.findings if f.id == made.finding), None)
    out = str(findings.provenance.config.get("out") or "audit")
    return MitigationPage(
        title=f"melaudit: mitigation of {wording.name(made.title, 60)}",
        model=wording.name(made.model, 48),
        date=wording.date(made.started),
        found="" if finding is None else wording.unbroken(finding.statement),
        mitigations=(card(1, made),),
        after=(
            f"melaudit run --model {made.new_model} --out after (and the first audit's options)",
            f"melaudit diff {wording.name(out)} after",
        ),
        version=wording.name(made.versions.get("melaudit", "")),
    )


def write_mitigation_page(made: Mitigated, findings: Findings, path: Path) -> None:
    """Write the page of a mitigation, whole or not at all.

    Raises StoreError when `path` cannot be written.
    """
    page = build_mitigation_page(made, findings)
    publish(path, templates.render("mitigation.html.j2", page=page).encode("utf-8"))
