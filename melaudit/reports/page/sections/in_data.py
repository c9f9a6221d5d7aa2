"""What the data allow and the model was not seen to follow: one table."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Finding, Findings, Rung
from melaudit.reports import scales
from melaudit.reports.ladder import step
from melaudit.reports.page.sections.finding_cards import MAX_NAMES, Statistic, statistic

MAX_ROWS = 60

MODEL = {"open": "tested, not seen to follow", "untested": "not tested"}
"""What is known of the model, by what came of the rung of dependence."""


@dataclass(frozen=True)
class DataRow:
    """One thing that goes with a class in the data."""

    id: str
    """Of the finding."""
    anchor: str
    title: str
    claim: str
    severity: str
    figure: str
    measured: str
    """What the figure is, with its 95 % interval."""
    n: str
    model: str
    """Whether it was tested that the model follows it."""
    remedy: str
    does_not_show: str
    statistics: tuple[Statistic, ...]
    names: tuple[str, ...]
    names_note: str


@dataclass(frozen=True)
class DataSection:
    """All of them."""

    rows: tuple[DataRow, ...]
    more: str


def in_data(findings: Findings) -> DataSection:
    """Return the findings that reached no more than that the data allow them."""
    allowed = [f for f in findings.findings if f.rung is Rung.OPPORTUNITY]
    left = len(allowed) - MAX_ROWS
    return DataSection(
        tuple(_row(n, f) for n, f in enumerate(allowed[:MAX_ROWS], 1)),
        f"{wording.many_unbroken(left, 'more row')} in findings.json." if left > 0 else "",
    )


def _row(number: int, finding: Finding) -> DataRow:
    more = len(finding.images) - MAX_NAMES
    first = next((e for e in finding.evidence if e.reached), None)
    return DataRow(
        id=finding.id,
        anchor=f"data-{number}",
        title=finding.title,
        claim=wording.unbroken(finding.statement),
        severity=finding.severity.value,
        figure=scales.written(first.name, first.estimate) if first else wording.DASH,
        measured=f"{scales.plain(first.name)}, 95\u00a0% interval "
        f"{wording.span(first.ci_low, first.ci_high)}"
        if first
        else "",
        n=wording.count(first.n) if first else wording.DASH,
        model=MODEL.get(step(finding, Rung.DEPENDENCE).state, MODEL["open"]),
        remedy=finding.remedy,
        does_not_show=finding.does_not_show,
        statistics=tuple(statistic(e, charted=False) for e in finding.evidence),
        names=tuple(wording.name(i, 120) for i in finding.images[:MAX_NAMES]),
        names_note=f"and {wording.count(more)} more in findings.json" if more > 0 else "",
    )
