"""Robustness: how decisions change as pictures lose quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from melaudit import wording
from melaudit.findings import Corruption, CorruptionStep, Figure, Findings
from melaudit.reports.interface import Curve, Series
from melaudit.reports.page import charts
from melaudit.reports.page.sections.finding_cards import TableView


@dataclass(frozen=True)
class CorruptionSection:
    """One plot of all kinds, and what unfolds."""

    statement: str
    plot: charts.Plot | None
    tables: tuple[TableView, ...]
    note: str


def corruptions(findings: Findings) -> CorruptionSection | None:
    """Return what was tried; None where nothing was."""
    tried = findings.corruptions
    if not tried:
        return None
    tables = []
    if tried[0].labelled:
        tables.append(_table("Right decisions, with 95\u00a0% intervals", tried, _accuracy))
    tables.append(_strengths(tried))
    return CorruptionSection(
        statement=_statement(tried),
        plot=_with_intervals(
            tried,
            Curve(
                finding="",
                title="Decisions that change as pictures lose quality",
                x_label="severity (0: the picture as it is)",
                y_label="share of decisions that change",
                series=tuple(
                    Series(
                        c.title,
                        tuple(float(s.severity) for s in c.steps),
                        tuple(s.changed.value for s in c.steps),
                    )
                    for c in tried
                ),
            ),
        ),
        tables=tuple(tables),
        note="Kinds and steps are those of ImageNet-C, put on pictures at the size that the model "
        "takes in. Nothing is said about other kinds and strengths.",
    )


def _statement(tried: tuple[Corruption, ...]) -> str:
    n = tried[0].n
    kinds = [_lower(c.title) for c in tried]
    said = "; ".join(
        f"{kind} changes {_percent(c.steps[-1].changed)}"
        for kind, c in zip(kinds, tried, strict=True)
    )
    return (
        f"{wording.many_unbroken(n, 'image')} were shown to the model with lower quality, in "
        f"{len(tried[0].steps) - 1} steps. Of the decisions at the strongest step, {said}."
    )


def _lower(title: str) -> str:
    """Return a title as it stands within a sentence."""
    first = title.split()[0]
    return title if first.isupper() else title[:1].lower() + title[1:]


def _percent(figure: Figure) -> str:
    span = wording.percent_span(figure.low, figure.high)
    return wording.rounded_percent(figure.value) + (f" ({span})" if span else "")


def _with_intervals(tried: tuple[Corruption, ...], curve: Curve) -> charts.Plot | None:
    """Return the plot, with intervals in its table: drawn, those of four kinds hide each other."""
    plot = charts.plot(curve)
    if plot is None:
        return None
    rows = tuple(
        (str(steps[0].severity), *(_percent(step.changed) for step in steps))
        for steps in zip(*(c.steps for c in tried), strict=True)
    )
    return replace(plot, columns=("Severity", *(c.title for c in tried)), rows=rows)


def _accuracy(step: CorruptionStep) -> str:
    return _percent(step.accuracy) if step.accuracy else wording.DASH


def _table(
    title: str, tried: tuple[Corruption, ...], cell: Callable[[CorruptionStep], str]
) -> TableView:
    steps = tried[0].steps
    return TableView(
        title,
        ("Kind", *("as it is" if not s.severity else f"severity {s.severity}" for s in steps)),
        (False, *[True] * len(steps)),
        tuple((c.title, *(cell(s) for s in c.steps)) for c in tried),
        "",
    )


def _strengths(tried: tuple[Corruption, ...]) -> TableView:
    return TableView(
        "What the steps are",
        ("Kind", *(str(s.severity) for s in tried[0].steps[1:]), "Counted in"),
        (False, *[True] * (len(tried[0].steps) - 1), False),
        tuple((c.title, *(wording.figure(s.strength) for s in c.steps[1:]), c.unit) for c in tried),
        "",
    )
