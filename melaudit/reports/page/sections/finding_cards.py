"""Findings as cards: the claim, the evidence rung by rung, examples, and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Evidence, Finding, Rung, Severity, Table
from melaudit.reports import scales
from melaudit.reports.detectability import detectability
from melaudit.reports.interface import Record
from melaudit.reports.ladder import Step, counts, ladder
from melaudit.reports.page import charts
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.pictures import DetailView, EditView, edit, pair, part_views
from melaudit.reports.page.sections.tiles import Tiles, tiles
from melaudit.wording import terms
from melaudit.wording.detectors import mitigation_command
from melaudit.wording.sentences import first_sentence

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
MAX_PICTURED = 3
"""Images at the head of a card for which none was changed."""
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
    figure: str
    """The one figure of its cell: "1 \u2192 39 of 40", "15 %"; a dash where nothing was tested."""
    measured: str
    """What the figure is."""
    statistics: tuple[Statistic, ...]
    more: str
    """How many more statistics are in findings.json."""


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
    sentence: str
    """The finding in counts that anyone can picture; its claim where there are none."""
    pair: EditView | None
    """An image as it is and changed."""
    shows: tuple[DetailView, ...]
    """The part that it is about, cut out, where the audit discovered it."""
    pictured: Tiles
    """The images that show it best, where no image was changed."""
    reached: str
    """The highest rung in words: "the model uses it"."""
    confidence: str
    classes: tuple[str, ...]
    claim: str
    rungs: tuple[RungRow, ...]
    edits: tuple[EditView, ...]
    """Further images, with every change that was tried."""
    plots: tuple[charts.Plot, ...]
    examples: Tiles
    tables: tuple[TableView, ...]
    remedy: str
    command: str
    """What fits the model anew against it; "" where nothing does."""
    does_not_show: str
    detectability: str
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


def of_the_model(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings that are about the model: more than that the data allow something."""
    return tuple(f for f in findings if f.rung is not Rung.OPPORTUNITY)


def cards(record: Record, plates: Plates, *, maps: bool) -> CardSection:
    """Return the findings about the model as cards, in the order the audit gave them."""
    findings = of_the_model(record.findings.findings)
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
    shown = pair(finding, edits, plates)
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
        sentence=_sentence(finding),
        pair=shown,
        shows=part_views(finding.id, record, plates),
        pictured=tiles(plates, () if shown else finding.images, MAX_PICTURED, maps=maps),
        reached=terms.RUNGS[finding.rung],
        confidence=wording.rounded_percent(finding.confidence),
        classes=tuple(wording.name(c) for c in finding.classes),
        claim=wording.unbroken(finding.statement),
        rungs=tuple(_rung(finding, s, number <= MAX_CHARTED, brief) for s in ladder(finding)),
        edits=tuple(
            v
            for e in edits[: MAX_EDITS if number <= MAX_IN_FULL else MAX_EDITS_BRIEF]
            if (v := edit(e, plates)) is not None
        ),
        plots=tuple(p for p in curves if p is not None),
        examples=tiles(plates, finding.images, limit, maps=maps),
        tables=() if brief else tuple(table(t) for t in finding.tables),
        remedy=finding.remedy,
        command=mitigation_command(record.findings, finding),
        does_not_show=finding.does_not_show,
        detectability=detectability(record.findings, finding),
        affected=wording.many_unbroken(len(finding.images), "image") if finding.images else "",
        names=tuple(wording.name(i, 120) for i in finding.images[:MAX_NAMES]),
        names_note=f"and {wording.count(left)} more in findings.json" if left > 0 else "",
    )


def _sentence(finding: Finding) -> str:
    """Return a finding in one sentence: counts of predictions, or how its claim begins."""
    found = counts(finding)
    if found is not None:
        return wording.frequencies(found)
    return wording.unbroken(first_sentence(finding.statement))


def _cell(evidence: Sequence[Evidence]) -> tuple[str, str]:
    """Return the one figure of a rung and what it is; evidence: what carries the rung first."""
    if not evidence:
        return wording.DASH, ""
    first = evidence[0]
    if first.counts is not None:
        c = first.counts
        figure = f"{c.before:,} \u2192 {c.after:,} of{wording.NBSP}{c.n:,}"
        return figure, f"{c.images} predicted {c.target}, with {c.change}{_why_not(first)}"
    return scales.written(first.name, first.estimate), scales.plain(first.name)


def _why_not(evidence: Evidence) -> str:
    """Return why a change that stands in the cell does not count, where the evidence says it."""
    _, marked, why = evidence.statement.rpartition(f"{terms.NO_HARM}: ")
    return f". {terms.NO_HARM}: {why.rstrip('.')}" if marked and not evidence.reached else ""


def _rung(finding: Finding, step: Step, charted: bool, brief: bool) -> RungRow:
    evidence = [e for e in finding.evidence if e.rung is Rung(step.rung)]
    # The audit's order is that of an argument; but what carries the rung comes first.
    first = sorted(evidence, key=lambda e: not e.reached)[: MAX_STATISTICS_BRIEF if brief else None]
    left = len(evidence) - len(first)
    return RungRow(
        step,
        *_cell(first),
        tuple(statistic(e, charted) for e in first),
        f"{wording.many_unbroken(left, 'more statistic')} in findings.json." if left else "",
    )


def statistic(evidence: Evidence, charted: bool) -> Statistic:
    """Return a piece of evidence as shown; `charted` draws its interval, too."""
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
        tuple(tuple(_entry(c) for c in row) for row in rows),
        f"{wording.many_unbroken(left, 'more row')} in findings.json." if left else "",
    )


def _entry(value: str | int | float) -> str:
    if isinstance(value, str):
        return wording.unbroken(wording.name(value, 120))
    return wording.count(value) if isinstance(value, int) else wording.figure(value)
