"""How the model does on the labelled images."""

from __future__ import annotations

import re
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import (
    ClassPerformance,
    ColumnPerformance,
    Findings,
    GroupPerformance,
    SlicePerformance,
)
from melaudit.reports.page import charts
from melaudit.wording.detectors import title_of

MAX_CONFUSION = 12
MAX_CLASSES = 40
MAX_SLICES = 40
MAX_COLUMNS = 6
MAX_GROUPS = 12
"""Rows of one column: the lowest figures are shown where there are more."""
SHADES = 5
"""Steps of shading in the confusion table."""


@dataclass(frozen=True)
class ClassRow:
    """How well the model does on one class."""

    name: str
    n: str
    recall: str
    interval: str
    precision: str
    chart: charts.Interval | None


@dataclass(frozen=True)
class SliceRow:
    """How well the model does on one label's images of a subgroup."""

    label: str
    subgroup: str
    """"Black ring of the dermatoscope: yes", or the group of a column."""
    n: str
    right: str
    interval: str
    chart: charts.Interval | None


@dataclass(frozen=True)
class ColumnTable:
    """How well the model does on each label, by the groups of one column of the data table."""

    title: str
    head: str
    """The column's name, as the head of its groups."""
    rows: tuple[SliceRow, ...]
    note: str
    """What is left out, and why."""


@dataclass(frozen=True)
class ConfusionCell:
    """How many images of a class were called so."""

    n: str
    share: str
    shade: int
    right: bool


@dataclass(frozen=True)
class ConfusionRow:
    """One label and what its images were called."""

    label: str
    cells: tuple[ConfusionCell, ...]


@dataclass(frozen=True)
class PerformanceSection:
    """Accuracy, the confusion table and each class."""

    labelled: bool
    figures: tuple[tuple[str, str, str], ...]
    """(what, figure, note)."""
    classes: tuple[ClassRow, ...]
    classes_note: str
    predicted: tuple[str, ...]
    confusion: tuple[ConfusionRow, ...]
    confusion_note: str
    slices: tuple[SliceRow, ...] = ()
    slices_note: str = ""
    columns: tuple[ColumnTable, ...] = ()
    columns_note: str = ""


def performance(findings: Findings) -> PerformanceSection:
    """Return the section on performance; bare when nothing is labelled."""
    p = findings.performance
    if not p.n or p.accuracy is None:
        return PerformanceSection(False, (), (), "", (), (), "")
    names = tuple(wording.name(c.name, 24) for c in p.per_class)
    square = len(p.confusion) <= MAX_CONFUSION
    worst = sorted(p.per_class, key=lambda c: (1.0 if c.recall is None else c.recall, c.name))
    many = len(p.per_class) > MAX_CLASSES
    return PerformanceSection(
        labelled=True,
        figures=_figures(findings),
        classes=tuple(_class(c) for c in (worst[:MAX_CLASSES] if many else p.per_class)),
        classes_note=f"The {MAX_CLASSES} classes with the lowest recall of {len(p.per_class)}; "
        "all are in findings.json."
        if many
        else "",
        predicted=names if square else (),
        confusion=_confusion(names, p.confusion) if square else (),
        confusion_note=""
        if square
        else f"The confusion table of {len(p.confusion)} classes is in findings.json.",
        slices=tuple(_slice(s, findings) for s in p.slices[:MAX_SLICES]),
        slices_note=_further(len(p.slices) - MAX_SLICES, "part"),
        columns=tuple(_column(c) for c in p.columns[:MAX_COLUMNS]),
        columns_note=_further(len(p.columns) - MAX_COLUMNS, "column"),
    )


def _further(left: int, thing: str) -> str:
    return f"{wording.many_unbroken(left, f'more {thing}')} in findings.json." if left > 0 else ""


def _figures(findings: Findings) -> tuple[tuple[str, str, str], ...]:
    p = findings.performance
    span = wording.percent_span(p.accuracy_low, p.accuracy_high, 1)
    positive = findings.provenance.positive
    rows = [
        (
            "Accuracy",
            wording.rounded_percent(p.accuracy, 1),
            f"95 % interval {span}; {wording.many_unbroken(p.n, 'labelled image')}"
            if span
            else wording.many_unbroken(p.n, "labelled image"),
        )
    ]
    if p.chance is not None:
        rows.append(
            (
                "By chance",
                wording.rounded_percent(p.chance, 1),
                "always naming the most frequent class",
            )
        )
    if p.auc is not None:
        of = f"for {wording.name(positive, 32)}" if positive else "mean of one against the rest"
        if len(p.discrimination) == 1:
            area = p.discrimination[0].auc
            of += f"; 95 % interval {area.low:.2f} to {area.high:.2f}"
        rows.append(("AUC", wording.figure(p.auc), of))
    return tuple(rows)


def _class(c: ClassPerformance) -> ClassRow:
    chart = None
    if c.recall is not None and c.recall_low is not None and c.recall_high is not None:
        chart = charts.interval(
            c.recall, c.recall_low, c.recall_high, reference=None, ends=(0.0, 1.0)
        )
    return ClassRow(
        name=wording.name(c.name, 32),
        n=wording.count(c.n),
        recall=wording.rounded_percent(c.recall, 1),
        interval=wording.percent_span(c.recall_low, c.recall_high, 1),
        precision=wording.rounded_percent(c.precision, 1),
        chart=chart,
    )


def _column(c: ColumnPerformance) -> ColumnTable:
    lowest = sorted(c.groups, key=lambda g: g.right)[:MAX_GROUPS]
    shown = [g for g in _placed(c.groups) if g in lowest][:MAX_GROUPS]
    notes = []
    if len(c.groups) > len(shown):
        notes.append(
            f"The {len(shown)} lowest of {len(c.groups)} figures; all are in findings.json."
        )
    if c.too_few:
        notes.append(
            f"{wording.many_unbroken(c.too_few, 'image')} left out: "
            "too few of a label in their group."
        )
    if c.unknown:
        notes.append(f"Nothing is known of {wording.many_unbroken(c.unknown, 'image')}.")
    rows = tuple(_row(g, wording.name(g.group, 48)) for g in shown)
    column = wording.human(c.column)
    title = f"Images of a label by {column}"
    return ColumnTable(title, wording.capitalised(column), rows, " ".join(notes))


def _placed(groups: tuple[GroupPerformance, ...]) -> tuple[GroupPerformance, ...]:
    """Within each label, sort groups that are all named by numbers, as ages are."""
    numbers = {g.group: re.search(r"\d+(?:\.\d+)?", g.group) for g in groups}
    order = {name: float(found[0]) for name, found in numbers.items() if found}
    if len(order) < len(numbers):
        return groups
    labels = list(dict.fromkeys(g.label for g in groups))
    return tuple(
        sorted(
            groups,
            key=lambda g: (
                labels.index(g.label),
                order[g.group],
                not g.group.startswith("under"),
            ),
        )
    )


def _slice(s: SlicePerformance, findings: Findings) -> SliceRow:
    return _row(s, f"{title_of(findings, s.artifact)}: {'yes' if s.shown else 'no'}")


def _row(s: SlicePerformance | GroupPerformance, subgroup: str) -> SliceRow:
    return SliceRow(
        label=wording.name(s.label, 32),
        subgroup=subgroup,
        n=wording.count(s.n),
        right=wording.rounded_percent(s.right, 1),
        interval=wording.percent_span(s.right_low, s.right_high, 1),
        chart=charts.interval(s.right, s.right_low, s.right_high, reference=None, ends=(0.0, 1.0)),
    )


def _confusion(
    names: tuple[str, ...], counts: tuple[tuple[int, ...], ...]
) -> tuple[ConfusionRow, ...]:
    rows = []
    for i, (label, row) in enumerate(zip(names, counts, strict=False)):
        total = sum(row)
        shares = [n / total if total else 0.0 for n in row]
        cells = tuple(
            ConfusionCell(
                wording.count(n),
                wording.rounded_percent(s) if total else "",
                round(s * SHADES),
                i == j,
            )
            for j, (n, s) in enumerate(zip(row, shares, strict=True))
        )
        rows.append(ConfusionRow(label, cells))
    return tuple(rows)
