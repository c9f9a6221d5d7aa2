"""A comparison of two audits as one page of HTML, in the style of the report."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import templates, wording
from melaudit.findings import Findings
from melaudit.reports.comparison.changes import Change, Comparison, FindingChange, compare
from melaudit.reports.comparison.figure_change import FigureChange, Pairs
from melaudit.reports.page import charts
from melaudit.reports.page.plates import Plate
from melaudit.wording import terms

KINDS = {
    Change.NEW: "fail",
    Change.WORSE: "fail",
    Change.UNTESTED: "inconclusive",
    Change.GONE: "inconclusive",
    Change.FIXED: "pass",
    Change.BETTER: "pass",
    Change.UNCHANGED: "untested",
}
"""The sign that stands for each kind of change; the word stands beside it."""


@dataclass(frozen=True)
class FigureRow:
    """One figure in both audits, as shown."""

    name: str
    """The rung and what was estimated."""
    before: str
    after: str
    change: str
    interval: str
    chart: charts.Interval | None


@dataclass(frozen=True)
class ChangeCard:
    """What became of one finding."""

    anchor: str
    id: str
    title: str
    kind: str
    word: str
    statement: str
    severity_before: str
    severity_after: str
    """Empty where the finding is not in that audit."""
    figures: tuple[FigureRow, ...]


@dataclass(frozen=True)
class Side:
    """One of the two audits."""

    which: str
    kind: str
    verdict: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ComparisonPage:
    """Everything the template shows."""

    title: str
    headline: str
    cautions: tuple[str, ...]
    counts: tuple[tuple[str, str], ...]
    accuracy: str
    accuracy_chart: charts.Interval | None
    cards: tuple[ChangeCard, ...]
    sides: tuple[Side, Side]
    version: str
    plates: tuple[Plate, ...] = ()
    legend: tuple[tuple[str, str, str], ...] = ()
    """A comparison shows no pictures."""


def build_comparison_page(comparison: Comparison) -> ComparisonPage:
    """Gather what the page of a comparison shows."""
    accuracy = comparison.accuracy
    models = [wording.name(f.provenance.model, 40) for f in (comparison.before, comparison.after)]
    return ComparisonPage(
        title=f"melaudit: {models[0]} against {models[1]}",
        headline=comparison.headline,
        cautions=tuple(caution.statement for caution in comparison.cautions),
        counts=tuple(
            (change.value, wording.count(comparison.count(change)))
            for change in Change
            if comparison.count(change)
        ),
        accuracy=comparison.accuracy_statement,
        accuracy_chart=None if accuracy is None else _chart(accuracy),
        cards=tuple(_card(k, change) for k, change in enumerate(comparison.changes, 1)),
        sides=(_side("Before", comparison.before), _side("After", comparison.after)),
        version=wording.name(comparison.after.provenance.versions.get("melaudit", "")),
    )


def render_comparison(before: Findings, after: Findings, right: Pairs | None = None) -> str:
    """Return the comparison of two audits as one self-contained HTML text; see `compare`."""
    page = build_comparison_page(compare(before, after, right))
    return templates.render("comparison.html.j2", page=page)


def _card(number: int, change: FindingChange) -> ChangeCard:
    before, after = change.before, change.after
    return ChangeCard(
        anchor=f"change-{number}",
        id=change.id,
        title=wording.name(change.title, 140),
        kind=KINDS[change.change],
        word=change.change.value,
        statement=change.statement,
        severity_before=before.severity.value if before else "",
        severity_after=after.severity.value if after else "",
        figures=tuple(_figure(figure) for figure in change.figures),
    )


def _figure(figure: FigureChange) -> FigureRow:
    sign = "+" if figure.change > 0 else ""
    size = wording.figure(figure.change)
    return FigureRow(
        name=f"{wording.capitalised(figure.rung.value)}: {figure.name}",
        before=wording.figure(figure.before),
        after=wording.figure(figure.after),
        change=f"\u00d7{wording.NBSP}{size}" if figure.ratio else f"{sign}{size}",
        interval=wording.span(figure.low, figure.high),
        chart=_chart(figure),
    )


def _chart(figure: FigureChange) -> charts.Interval | None:
    reference = 1.0 if figure.ratio else 0.0
    return charts.interval(
        figure.change, figure.low, figure.high, reference=reference, log=figure.ratio
    )


def _side(which: str, findings: Findings) -> Side:
    p = findings.provenance
    return Side(
        which,
        findings.verdict.value,
        terms.VERDICTS[findings.verdict],
        (
            ("Model", wording.name(p.model)),
            ("Architecture", wording.name(p.architecture)),
            ("SHA-256", p.model_sha256[:16]),
            ("Images", f"{wording.count(findings.inputs.read)} in {wording.name(p.data)}"),
            ("Data fingerprint", p.data_fingerprint[:16]),
            ("Preprocessing", p.preprocessing),
            ("Maps", findings.explanations.status.value),
            ("Made", f"{wording.moment(p.started)}, melaudit {p.versions.get('melaudit', '')}"),
        ),
    )
