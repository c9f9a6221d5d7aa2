"""The audit in a few lines of plain text, for a terminal or the log of a build."""

from __future__ import annotations

from melaudit import wording
from melaudit.findings import CheckStatus, Finding, Findings, Trust
from melaudit.reports.formats.interface import Format
from melaudit.reports.ladder import by_severity, carrying
from melaudit.wording.detectors import passed_checks

MAX_FINDINGS = 8
"""Findings that are named."""
MAX_TITLE, MAX_MEASURE = 200, 120
"""Characters. Chosen: more than any title or measure of ours has with names of usual length."""


def summary(findings: Findings) -> str:
    """Return the audit in a few lines, safe to print: no control character survives.

    The verdict's word is left to the caller; the first line is the reason for it.
    """
    rows = ["  " + "  ".join(cell for cell in row if cell) for row in finding_rows(findings)]
    return "\n".join([*head(findings), *rows, *tail(findings)])


def head(findings: Findings) -> list[str]:
    """Return the lines before the findings; the first is the reason of the verdict."""
    made = f"Maps made by: {findings.explanations.engine}"
    return _safe([findings.reason, "", _maps(findings), made, _found(findings)])


def finding_rows(findings: Findings) -> list[tuple[str, ...]]:
    """Return (severity, rung, title, figure) of the findings that are named."""
    return [
        tuple(_safe([f.severity.value, f.rung.value, wording.name(f.title, MAX_TITLE), _figure(f)]))
        for f in findings.findings[:MAX_FINDINGS]
    ]


def tail(findings: Findings) -> list[str]:
    """Return the lines after the findings."""
    more = len(findings.findings) - MAX_FINDINGS
    lines = [f"  and {wording.count(more)} more"] if more > 0 else []
    lines += [_read(findings), _accuracy(findings)]
    if findings.controls:
        lines.append(controls_line(findings))
    return _safe([*lines, *(f"Note: {warning}" for warning in findings.warnings)])


def controls_line(findings: Findings) -> str:
    """Return how the tests of the audit itself ended, naming those that failed."""
    failed = [c.title for c in findings.controls if not c.passed]
    passed = len(findings.controls) - len(failed)
    line = f"Controls of the audit: {passed} of {wording.count(len(findings.controls))} passed"
    return f"{line}; failed: {', '.join(failed)}" if failed else line


def _safe(lines: list[str]) -> list[str]:
    return [wording.visible_as_code_points(line).replace(wording.NBSP, " ") for line in lines]


def _figure(finding: Finding) -> str:
    """Return the figure that carries the finding's rung, with its interval."""
    e = carrying(finding)
    if e is None:
        return ""
    span = wording.span(e.ci_low, e.ci_high)
    return f"{wording.name(e.name, MAX_MEASURE)} {wording.figure(e.estimate)} ({span})"


def _maps(findings: Findings) -> str:
    checks = findings.explanations.checks
    status = findings.explanations.status
    line = f"Maps: {status.value} ({passed_checks(checks)})"
    if status is not Trust.TRUSTED:
        line += ": " + ", ".join(c.id for c in checks if c.status is not CheckStatus.PASS)
    return line


def _found(findings: Findings) -> str:
    line = f"Findings: {by_severity(findings.findings)}"
    if findings.not_found:
        line += f"; {wording.count(len(findings.not_found))} looked for and not found"
    return line


def _read(findings: Findings) -> str:
    i = findings.inputs
    return f"Images: {wording.count(i.read)} read, {wording.not_used(i.lost, i.unseen_folders)}"


def _accuracy(findings: Findings) -> str:
    p = findings.performance
    if not p.n or p.accuracy is None:
        return "Accuracy: unknown, the images have no labels"
    span = wording.percent_span(p.accuracy_low, p.accuracy_high, 1)
    return f"Accuracy: {wording.rounded_percent(p.accuracy, 1)}" + (
        f" (95 % interval {span})" if span else ""
    )


TEXT = Format(
    id="text",
    file="summary.txt",
    about="the audit in a few lines of plain text",
    render=lambda findings, _: summary(findings),
    on_request=False,
)
