"""Training images and audited images side by side."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Drift, Findings
from melaudit.reports.page.sections.finding_cards import TableView
from melaudit.wording.detectors import title_of

MAX_SAID = 5
"""Differences that are sentences; the table has all."""


@dataclass(frozen=True)
class DriftSection:
    """What differs, and everything that was compared."""

    lead: str
    statements: tuple[str, ...]
    """The clearest differences, as sentences."""
    table: TableView


def drift(findings: Findings) -> DriftSection | None:
    """Return the comparison; None where no training images are known."""
    compared = findings.drift
    if not compared:
        return None
    differ = sorted((d for d in compared if d.clear), key=lambda d: d.p_value)
    things = wording.many_unbroken(
        len(compared), "artifact or property", "artifacts and properties"
    )
    where = "between the training images and the audited ones, clear of chance."
    lead = (
        f"{len(differ)} of {things} differ {where}"
        if differ
        else f"None of {things} differs {where} That is no proof that they are alike: see the "
        "intervals."
    )
    rows = sorted(compared, key=lambda d: (not d.clear, d.p_value))
    left = len(differ) - MAX_SAID
    more = (f"{wording.many_unbroken(left, 'more difference')} in the table.",) if left > 0 else ()
    return DriftSection(
        lead,
        (*(wording.unbroken(d.statement) for d in differ[:MAX_SAID]), *more),
        TableView(
            "Training images and audited images, each class counting alike",
            ("", "Training", "Audited", "Difference (95\u00a0%)", "q", "Images"),
            (False, True, True, True, True, True),
            tuple(_row(d, findings) for d in rows),
            "q is corrected over all tests of this run.",
        ),
    )


def _row(d: Drift, findings: Findings) -> tuple[str, ...]:
    title = title_of(findings, d.id) if d.is_rate else f"{d.title} ({d.unit})"
    show = wording.rounded_percent if d.is_rate else wording.figure
    low, high = show(d.difference.low), show(d.difference.high)
    return (
        title,
        show(d.training),
        show(d.audited),
        f"{show(d.difference.value)} ({low} to {high})",
        wording.chance("q", d.q_value).replace("q\u00a0=\u00a0", "").replace("q\u00a0", ""),
        f"{wording.count(d.n_training)} and {wording.count(d.n_audited)}",
    )
