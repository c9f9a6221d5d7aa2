"""Skipped and flagged: what became of the images, and which questions were not asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings
from melaudit.wording.detectors import title_of

MAX_ROWS = 60


@dataclass(frozen=True)
class InputsSection:
    """What became of the images, and which detectors could not be applied."""

    read: str
    drawn_from: str
    """Images that these are a sample of; "" where they are all."""
    skipped: tuple[tuple[str, str], ...]
    """(reason, images)."""
    flagged: tuple[tuple[str, str], ...]
    """(reason, images)."""
    detectors: tuple[tuple[str, str], ...]
    """(detector, reason)."""


def inputs(findings: Findings) -> InputsSection:
    """Return what was read, skipped and flagged."""
    return InputsSection(
        wording.count(findings.inputs.read),
        wording.count(findings.inputs.drawn_from) if findings.inputs.drawn_from else "",
        _reasons(findings.inputs.skipped),
        _reasons(findings.inputs.flagged),
        tuple((title_of(findings, s.detector), s.reason) for s in findings.skipped[:MAX_ROWS]),
    )


def _reasons(counts: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        (wording.capitalised(wording.human(reason)), wording.count(n))
        for reason, n in most_first[:MAX_ROWS]
        if n
    )
