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
from dataclasses import dataclass, field

from melaudit import templates, wording
from melaudit.findings import DomainInfo
from melaudit.reports.page.plates import Plate, Plates
from melaudit.reports.page.sections.finding_cards import TableView
from melaudit.wording.names import safe_cell

COLUMNS = ("artifact", "images", "goes with", "of it", "of the rest", "odds ratio", "95 %", "q")
MAX_PICTURES = 4
"""Photographs of an artifact that the page shows."""
MAX_LEFT_OUT = 5
"""Files left out for one reason that are named."""
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
    """Whether the association is strong and clear of chance, all tests counted, and no other
    artifact on the same images explains it."""
    reason: str
    """Why there is no odds ratio; empty when there is one."""
    examples: tuple[str, ...]
    """Ids of images that show it, the surest first."""
    beside: tuple[str, ...] = ()
    """What else the same images show that may be what goes with the class, in sentences."""


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
    domain: DomainInfo = field(default_factory=DomainInfo)
    """What kind of pictures these were taken for, which says what was looked for."""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reason -> names of such images, the first of them where they are many."""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """Image id -> the photograph as WebP, of the surest images; in the page alone."""


def to_json(scan: Scan) -> str:
    """Return a scan as JSON; infinities become null, and only ASCII is written."""
    plain = dataclasses.asdict(scan)
    del plain["pictures"]
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
    lines += ["", statement(scan), *_notes(scan)]
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
    if row.beside and not row.reached:
        return f"seen with another ({wording.name(row.label)})"
    return wording.name(row.label) if row.reached else f"not clear ({wording.name(row.label)})"


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
    notes += [wording.capitalised(said) for row in scan.artifacts for said in row.beside]
    notes += [_left_out(scan, reason) for reason in sorted(scan.left_out)]
    notes += [
        f"{wording.human(name)} was left out: {wording.name(why, 200)}"
        for name, why in scan.failed.items()
    ]
    notes.append(
        "An odds ratio says what the data allow a model to learn, not what any model does: only an "
        "audit of the model tells (melaudit run)."
    )
    return notes


def _left_out(scan: Scan, reason: str) -> str:
    """Name the files that were left out for one reason."""
    names = scan.left_out[reason]
    shown = ", ".join(wording.name(each) for each in names[:MAX_LEFT_OUT])
    more = scan.skipped.get(reason, len(names)) - min(len(names), MAX_LEFT_OUT)
    tail = f" and {more:,} more" if more > 0 else ""
    return f"Left out, {wording.human(reason)}: {shown}{tail}."


@dataclass(frozen=True)
class Examples:
    """The images that show one artifact."""

    title: str
    names: tuple[str, ...]
    pictures: tuple[tuple[str, str], ...]
    """(id of the plate, name) of those whose photograph is shown."""


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
    plates: tuple[Plate, ...]
    legend: tuple[tuple[str, str, str], ...] = ()
    """There are no maps on this page; the shared base asks for it."""


def build_scan_page(scan: Scan) -> ScanPage:
    """Return the page of a scan as strings."""
    plates = Plates({})
    return ScanPage(
        title="Artifacts in the images",
        version=wording.name(scan.version),
        data=wording.name(scan.data, 200),
        statement=statement(scan),
        table=TableView(
            "Artifacts and the classes they go with",
            tuple(wording.capitalised(column) for column in COLUMNS),
            NUMERIC,
            tuple(_rows(scan)),
            "",
        ),
        notes=tuple(_notes(scan)),
        examples=tuple(
            Examples(
                row.title,
                tuple(wording.name(e) for e in row.examples),
                _shown(scan, row, plates),
            )
            for row in scan.artifacts
            if row.examples
        ),
        plates=plates.all,
    )


def _shown(scan: Scan, row: Scanned, plates: Plates) -> tuple[tuple[str, str], ...]:
    """Return (plate, name) of an artifact's photographs, and have them embedded."""
    ids = [i for i in row.examples[:MAX_PICTURES] if i in scan.pictures]
    found = [(plates.picture(scan.pictures[i], f"picture:{i}"), wording.name(i)) for i in ids]
    return tuple((plate.id, name) for plate, name in found if plate is not None)


def statement(scan: Scan) -> str:
    """Return what a scan found, in a sentence or two; absence is claimed of nothing."""
    if not scan.labelled:
        return "The images have no labels, so what goes with a class cannot be told."
    reached = [row for row in scan.artifacts if row.reached]
    compared = [row for row in scan.artifacts if row.odds_ratio is not None]
    if reached:
        named = ", ".join(f"{row.title} ({wording.name(row.label or '')})" for row in reached)
        said = f"Artifacts that go with a class: {named}."
    elif not compared:
        return (
            f"{wording.many_unbroken(scan.labelled, 'labelled image')}: too few to tell whether "
            "any artifact goes with a class. Scan more images."
        )
    else:
        ends = [row.ci_high for row in compared if row.ci_high is not None]
        largest = max(ends, default=math.inf)
        left = f"up to {wording.figure(largest)}" if math.isfinite(largest) else "of any size"
        said = (
            "No artifact goes clearly with a class. That is no proof that none does: the "
            f"intervals leave odds ratios {left} open."
        )
    untold = len(scan.artifacts) - len(compared)
    few = f" For {untold} of {len(scan.artifacts)} there were too few images to tell."
    return said + (few if untold else "")


def to_html(scan: Scan) -> str:
    """Return a scan as one self-contained HTML text."""
    page = build_scan_page(scan)
    return templates.render("scan.html.j2", page=page)
