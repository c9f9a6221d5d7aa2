"""What would have been seen: what was not found, and the controls of the audit itself."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings
from melaudit.reports import scales
from melaudit.wording import terms
from melaudit.wording.detectors import title_of

MAX_ROWS = 60


@dataclass(frozen=True)
class NotFoundRow:
    """Something that was looked for and not found."""

    artifact: str
    """What was looked for: an artifact, or anything else a detector asks about."""
    n: str
    effect: str
    """What the smallest effect is measured as."""
    least: str
    """The smallest effect that would have been seen."""
    outcome: str
    """"excluded" or "could not tell"."""
    statement: str


@dataclass(frozen=True)
class ControlRow:
    """A test of the audit itself, on this model."""

    title: str
    statement: str
    figure: str
    n: str
    kind: str
    """"pass" or "fail"."""
    word: str


def not_found(findings: Findings) -> tuple[tuple[NotFoundRow, ...], str]:
    """Return what was not found, and a note on what is not listed."""
    rows = tuple(
        NotFoundRow(
            title_of(findings, n.artifact),
            wording.count(n.n),
            scales.plain(n.effect),
            scales.written(n.effect, n.minimum_detectable_effect),
            terms.ABSENCE["excluded" if n.excluded else "unclear"],
            wording.unbroken(n.statement),
        )
        for n in findings.not_found[:MAX_ROWS]
    )
    left = len(findings.not_found) - len(rows)
    return rows, f"{wording.count(left)} more in findings.json." if left else ""


def controls(findings: Findings) -> tuple[ControlRow, ...]:
    """Return how the audit dealt with planted shortcuts, and with data that hold none."""
    return tuple(
        ControlRow(
            c.title,
            c.statement,
            wording.rounded_percent(c.value),
            wording.count(c.n),
            "pass" if c.passed else "fail",
            "passed" if c.passed else "failed",
        )
        for c in findings.controls
    )
