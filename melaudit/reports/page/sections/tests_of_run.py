"""Every test of the run with p and q, so that a reader can count and correct them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Findings

MAX_ROWS = 400

HEADS = ("p", "q", "n", "claim", "what was tested")

Q_LIMIT = 0.05
"""The false discovery rate that the audit allows."""


@dataclass(frozen=True)
class TestSection:
    """All tests, the smallest p first."""

    lines: tuple[str, ...]
    """Columns of text under their heads, to be copied and counted again; none without tests."""
    title: str
    more: str


def tests(findings: Findings) -> TestSection:
    """Return the tests of a run."""
    ordered = sorted(findings.tests, key=lambda t: (t.p_value, t.claim, t.name))
    left = len(ordered) - MAX_ROWS
    below = sum(t.q_value < Q_LIMIT for t in ordered)
    rows = [
        (
            wording.figure(t.p_value),
            wording.figure(t.q_value),
            wording.count(t.n),
            wording.name(t.claim),
            wording.name(t.name, 120),
        )
        for t in ordered[:MAX_ROWS]
    ]
    return TestSection(
        _columns([HEADS, *rows]) if rows else (),
        f"{wording.many_unbroken(len(ordered), 'test')}, {below:,} with q below {Q_LIMIT}",
        f"{wording.many_unbroken(left, 'more test')} in findings.json." if left > 0 else "",
    )


def _columns(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return tuple(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
