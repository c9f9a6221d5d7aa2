"""What a scan of images found: artifacts and the classes they go with, as table, CSV, JSON, HTML.

A scan asks no model. `Scan` is the whole result in plain values; the rest of this module and
`templates/scan.html.j2` write it down.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from melaudit import templates, wording
from melaudit.reports.page.sections.finding_cards import TableView
from melaudit.wording.names import safe_cell

COLUMNS = ("artifact", "images", "goes with", "of it", "of the rest", "odds ratio", "95 %", "q")
NUMERIC = (False, True, False, True, True, True, True, True)


@dataclass(frozen=True)
class Scanned:
    """One artifact, or one rule by name, over all images that were read."""

    artifact: str
    title: str
    n: int
    """Images looked at."""
    present: int
    """Images that show it."""
    by_label: Mapping[str, tuple[int, int]]
    """Label -> images that show it, images; "unknown" for those without a label."""
    label: str | None
    """The class it goes with the most; None where labels cannot tell."""
    odds_ratio: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    q_value: float | None
    """p after correction over everything this scan tested."""
    reached: bool
    """Whether the association is strong and clear of chance, all tests counted."""
    reason: str
    """Why there is no odds ratio; empty when there is one."""
    examples: tuple[str, ...]
    """Ids of images that show it, the surest first."""


@dataclass(frozen=True)
class Scan:
    """Everything a scan found."""

    data: str
    """What was scanned, in one line."""
    classes: tuple[str, ...]
    read: int
    labelled: int
    skipped: Mapping[str, int]
    """Reason -> images that could not be used."""
    artifacts: tuple[Scanned, ...]
    """The clearest association first."""
    failed: Mapping[str, str]
    """Artifact -> why its finder was left out."""
    version: str


def to_json(scan: Scan) -> str:
    """Return a scan as JSON; infinities become null, and only ASCII is written."""
    plain = dataclasses.asdict(scan)
    for row in plain["artifacts"]:
        for key, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                row[key] = None
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


def to_csv(scan: Scan) -> str:
    """Return one line per artifact and label as CSV (RFC 4180), safe to open in a spreadsheet."""
    page = io.StringIO()
    writer = csv.writer(page)
    shared = ("n", "present", "odds_ratio", "ci_low", "ci_high", "p_value", "q_value")
    counts = ("artifact", "label", "images_of_label", "showing_it")
    writer.writerow((*counts, *shared, "goes_with", "reached", "reason", "examples"))
    for row in scan.artifacts:
        figures = ["" if (v := getattr(row, name)) is None else v for name in shared]
        for label, (showing, images) in row.by_label.items():
            cells = [row.artifact, label, images, showing, *figures, row.label or "", row.reached]
            cells += [row.reason, " ".join(row.examples)]
            writer.writerow([safe_cell(c) if isinstance(c, str) else c for c in cells])
    return page.getvalue()


def to_text(scan: Scan) -> str:
    """Return the scan as a table of plain text, for a terminal."""
    rows = [COLUMNS, *_rows(scan)]
    width = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = [
        "  ".join(
            cell.rjust(width[i]) if NUMERIC[i] else cell.ljust(width[i])
            for i, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    lines += ["", *_notes(scan)]
    for row in scan.artifacts:
        if row.examples:
            shown = ", ".join(wording.name(example) for example in row.examples[:3])
            lines.append(f"{row.title}, for example: {shown}")
    return "\n".join(line.replace(wording.NBSP, " ") for line in lines)


def _rows(scan: Scan) -> list[tuple[str, ...]]:
    return [
        (
            wording.name(row.title),
            f"{row.present:,} of {row.n:,}",
            _goes_with(row),
            *_shares(row),
            wording.figure(row.odds_ratio),
            row.reason or wording.span(row.ci_low, row.ci_high),
            wording.figure(row.q_value) if row.q_value is not None else wording.DASH,
        )
        for row in scan.artifacts
    ]


def _goes_with(row: Scanned) -> str:
    if row.label is None or row.reason:
        return wording.DASH
    return wording.name(row.label) if row.reached else f"no class ({wording.name(row.label)})"


def _shares(row: Scanned) -> tuple[str, str]:
    """Return how many of the class, and of all others with a label, show it."""
    if row.label is None:
        return wording.DASH, wording.DASH
    showing, images = row.by_label[row.label]
    rest = [v for k, v in row.by_label.items() if k not in (row.label, "unknown")]
    others = sum(v[0] for v in rest), sum(v[1] for v in rest)
    return f"{showing:,} of {images:,}", f"{others[0]:,} of {others[1]:,}"


def _notes(scan: Scan) -> list[str]:
    """Return what a reader must know, as sentences."""
    reasons = ", ".join(f"{wording.human(k)}: {n:,}" for k, n in sorted(scan.skipped.items()))
    notes = [
        f"{wording.many_unbroken(scan.read, 'image')} read, {wording.count(scan.labelled)} of them "
        f"with a label; {wording.count(sum(scan.skipped.values()))} left out"
        f"{f' ({reasons})' if reasons else ''}."
    ]
    notes += [
        f"{wording.human(name)} was left out: {wording.name(why, 200)}"
        for name, why in scan.failed.items()
    ]
    notes.append(
        "An odds ratio says what the data allow a model to learn, not what any model does: only an "
        "audit of the model tells (melaudit run)."
    )
    return notes


@dataclass(frozen=True)
class Examples:
    """The images that show one artifact."""

    title: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class ScanPage:
    """Everything the template of a scan shows."""

    title: str
    version: str
    data: str
    statement: str
    table: TableView
    notes: tuple[str, ...]
    examples: tuple[Examples, ...]
    legend: tuple[tuple[str, str, str], ...] = ()
    plates: tuple[str, ...] = ()
    """There are no pictures on this page; the shared base asks for both."""


def build_scan_page(scan: Scan) -> ScanPage:
    """Return the page of a scan as strings."""
    reached = [row for row in scan.artifacts if row.reached]
    statement = "No artifact that was looked for goes with a class." if scan.labelled else ""
    if reached:
        named = ", ".join(f"{row.title} ({wording.name(row.label or '')})" for row in reached)
        statement = f"Artifacts that go with a class: {named}."
    return ScanPage(
        title="Artifacts in the images",
        version=wording.name(scan.version),
        data=wording.name(scan.data, 200),
        statement=statement or "The images have no labels, so nothing can go with a class.",
        table=TableView(
            "Artifacts and the classes they go with",
            tuple(wording.capitalised(column) for column in COLUMNS),
            NUMERIC,
            tuple(_rows(scan)),
            "",
        ),
        notes=tuple(_notes(scan)),
        examples=tuple(
            Examples(row.title, tuple(wording.name(e) for e in row.examples))
            for row in scan.artifacts
            if row.examples
        ),
    )


def to_html(scan: Scan) -> str:
    """Return a scan as one self-contained HTML text."""
    page = build_scan_page(scan)
    return templates.render("scan.html.j2", page=page)
