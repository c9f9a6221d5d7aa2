"""Findings as cards: the claim, the evidence rung by rung, examples, and what it does not show."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Evidence, Finding, Rung, Severity, Table
from melaudit.reports import scales
from melaudit.reports.interface import Edit, Record
from melaudit.reports.ladder import Step, ladder
from melaudit.reports.page import charts
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.tiles import Tiles, tiles
from melaudit.wording import terms

MAX_CARDS = 6
"""Findings with a card."""
MAX_ROWS = 40
"""Findings after those, as rows of a table."""
MAX_IN_FULL = 1
"""Cards, from the first, with all their examples and edits."""
MAX_CHARTED = 3
"""Cards, from the first, whose statistics are drawn too."""
MAX_EXAMPLES = {Severity.CRITICAL: 10, Severity.HIGH: 10, Severity.MEDIUM: 5}
MAX_EXAMPLES_BRIEF = 3
"""Tiles of a card in full, by severity; and of every other card."""
MAX_EDITS, MAX_EDITS_BRIEF = 4, 1
"""Edited images of a card in full, and of every other."""
MAX_STATISTICS_BRIEF = 2
"""Statistics on a rung of a finding of low severity, whose card has no tables."""
MAX_VERSIONS_NARROW = 3
"""Versions of an edited image that fit into half a row."""
MAX_NAMES = 1000
MAX_TABLE_ROWS = 40


@dataclass(frozen=True)
class Statistic:
    """One piece of evidence."""

    name: str
    statement: str
    figure: str
    interval: str
    small_print: tuple[str, ...]
    """n, p, q: what a reader checks."""
    null: str
    chart: charts.Interval | None


@dataclass(frozen=True)
class RungRow:
    """A rung with the statistics on it."""

    step: Step
    statistics: tuple[Statistic, ...]
    more: str
    """How many more statistics are in findings.json."""


@dataclass(frozen=True)
class VersionView:
    """One edit of an image as shown."""

    picture: str
    title: str
    chance: str
    bar: str
    """The probability as a length, 0 to 100."""
    change: str
    """Compared with the image as it is: "+95 points"; empty for that image itself."""
    alt: str


@dataclass(frozen=True)
class EditView:
    """An image with and without the artifact."""

    name: str
    target: str
    versions: tuple[VersionView, ...]
    wide: bool
    """Whether the versions need a row of their own."""


@dataclass(frozen=True)
class TableView:
    """A small table."""

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    """Per column, whether it holds figures and is set flush right."""
    rows: tuple[tuple[str, ...], ...]
    note: str


@dataclass(frozen=True)
class Card:
    """A finding as shown."""

    number: int
    anchor: str
    id: str
    title: str
    severity: str
    advice: str
    """What the severity asks of the reader."""
    reached: str
    """The highest rung in words: "the model uses it"."""
    confidence: str
    classes: tuple[str, ...]
    claim: str
    rungs: tuple[RungRow, ...]
    edits: tuple[EditView, ...]
    plots: tuple[charts.Plot, ...]
    examples: Tiles
    tables: tuple[TableView, ...]
    remedy: str
    does_not_show: str
    affected: str
    names: tuple[str, ...]
    names_note: str


@dataclass(frozen=True)
class FurtherRow:
    """A finding that has no card of its own."""

    title: str
    claim: str
    severity: str
    reached: str
    affected: str


@dataclass(frozen=True)
class CardSection:
    """All findings."""

    cards: tuple[Card, ...]
    further: tuple[FurtherRow, ...]
    more: str
    severities: tuple[tuple[str, str], ...]
    """(severity, "2 medium") of those present, the worst first."""


def cards(record: Record, plates: Plates, *, maps: bool) -> CardSection:
    """Return the findings as cards, in the order the audit gave them."""
    findings = record.findings.findings
    shown, rest = findings[:MAX_CARDS], findings[MAX_CARDS : MAX_CARDS + MAX_ROWS]
    left = len(findings) - len(shown) - len(rest)
    present = sorted({f.severity for f in shown}, key=lambda s: -s.rank)
    return CardSection(
        cards=tuple(_card(n, f, record, plates, maps) for n, f in enumerate(shown, 1)),
        further=tuple(
            FurtherRow(
                f.title,
                f.statement,
                f.severity.value,
                terms.RUNGS[f.rung],
                wording.count(len(f.images)),
            )
            for f in rest
        ),
        more=f"{wording.many_unbroken(left, 'more finding')} in findings.json." if left else "",
        severities=tuple(
            (s.value, f"{sum(f.severity is s for f in shown)} {s.value}") for s in present
        ),
    )


def _card(number: int, finding: Finding, record: Record, plates: Plates, maps: bool) -> Card:
    edits = [e for e in record.edits if e.finding == finding.id]
    curves = [charts.plot(c) for c in record.curves if c.finding == finding.id]
    limit = MAX_EXAMPLES_BRIEF
    if number <= MAX_IN_FULL:
        limit = MAX_EXAMPLES.get(finding.severity, limit)
    left = len(finding.images) - MAX_NAMES
    brief = finding.severity.rank <= Severity.LOW.rank
    return Card(
        number=number,
        anchor=f"finding-{number}",
        id=finding.id,
        title=finding.title,
        severity=finding.severity.value,
        advice=terms.SEVERITIES[finding.severity],
        reached=terms.RUNGS[finding.rung],
        confidence=wording.rounded_percent(finding.confidence),
        classes=tuple(wording.name(c) for c in finding.classes),
        claim=wording.unbroken(finding.statement),
        rungs=tuple(_rung(finding, s, number <= MAX_CHARTED, brief) for s in ladder(finding)),
        edits=tuple(
            v
            for e in edits[: MAX_EDITS if number <= MAX_IN_FULL else MAX_EDITS_BRIEF]
            if (v := _edit(e, plates)) is not None
        ),
        plots=tuple(p for p in curves if p is not None),
        examples=tiles(plates, finding.images, limit, maps=maps),
        tables=() if brief else tuple(table(t) for t in finding.tables),
        remedy=finding.remedy,
        does_not_show=finding.does_not_show,
        affected=wording.many_unbroken(len(finding.images), "image") if finding.images else "",
        names=tuple(wording.name(i, 120) for i in finding.images[:MAX_NAMES]),
        names_note=f"and {wording.count(left)} more in findings.json" if left > 0 else "",
    )


def _rung(finding: Finding, step: Step, charted: bool, brief: bool) -> RungRow:
    evidence = [e for e in finding.evidence if e.rung is Rung(step.rung)]
    # The audit's order is that of an argument; but what carries the rung comes first.
    first = sorted(evidence, key=lambda e: not e.reached)[: MAX_STATISTICS_BRIEF if brief else None]
    left = len(evidence) - len(first)
    return RungRow(
        step,
        tuple(_statistic(e, charted) for e in first),
        f"{wording.many_unbroken(left, 'more statistic')} in findings.json." if left else "",
    )


def _statistic(evidence: Evidence, charted: bool) -> Statistic:
    small_print = (
        f"n{wording.NBSP}={wording.NBSP}{wording.count(evidence.n)}",
        wording.chance("p", evidence.p_value),
        wording.chance("q", evidence.q_value),
    )
    return Statistic(
        name=wording.capitalised(evidence.name),
        statement=wording.unbroken(evidence.statement),
        figure=wording.figure(evidence.estimate),
        interval=wording.span(evidence.ci_low, evidence.ci_high),
        small_print=tuple(s for s in small_print if s),
        null=evidence.null,
        # A ratio of 1 or a difference of 0 means no effect; other figures have no such value.
        chart=charts.interval(
            evidence.estimate,
            evidence.ci_low,
            evidence.ci_high,
            reference=scales.no_effect(evidence.name),
            log=scales.is_ratio(evidence.name),
        )
        if charted
        else None,
    )


def _edit(edit: Edit, plates: Plates) -> EditView | None:
    """Return an edited image with all its versions; None when one of them does not fit."""
    target = wording.name(edit.target, 32)
    versions = []
    for k, version in enumerate(edit.versions):
        plate = plates.picture(version.picture, f"edit:{edit.finding}:{edit.image}:{k}")
        if plate is None:
            return None
        chance = wording.rounded_percent(version.probability)
        versions.append(
            VersionView(
                picture=plate.id,
                title=wording.capitalised(version.title),
                chance=chance,
                bar=f"{100 * min(1.0, max(0.0, version.probability)):.1f}",
                change=_change(version.probability - edit.versions[0].probability) if k else "",
                alt=f"{version.title}: {target} {chance}",
            )
        )
    return EditView(
        wording.name(edit.image, 40), target, tuple(versions), len(versions) > MAX_VERSIONS_NARROW
    )


def _change(difference: float) -> str:
    points = round(100 * difference)
    if not points:
        return "no change"
    sign = "+" if points > 0 else wording.MINUS
    return f"{sign}{wording.many_unbroken(abs(points), 'point')}"


def table(source: Table) -> TableView:
    """Return a finding's table with its figures written out."""
    rows = source.rows[:MAX_TABLE_ROWS]
    left = len(source.rows) - len(rows)
    numeric = tuple(
        bool(rows) and all(not isinstance(r[k], str) for r in rows if k < len(r))
        for k in range(len(source.columns))
    )
    return TableView(
        source.title,
        source.columns,
        numeric,
        tuple(tuple(_cell(c) for c in row) for row in rows),
        f"{wording.many_unbroken(left, 'more row')} in findings.json." if left else "",
    )


def _cell(value: str | int | float) -> str:
    if isinstance(value, str):
        return wording.unbroken(wording.name(value, 120))
    return wording.count(value) if isinstance(value, int) else wording.figure(value)
