"""The audit in a few lines of plain text, for a terminal or the log of a build."""

from __future__ import annotations

from melaudit.findings import CheckStatus, Findings, Trust
from melaudit.reports.sections.summary import by_severity
from melaudit.reports.wording import count, percent, percent_interval, plural, visible

LISTED = 5
"""Findings named one by one."""


def summary(findings: Findings) -> str:
    """Return the audit in a few lines, safe to print: no control character survives.

    The verdict's word is left to the caller; the first line is the reason for it.
    """
    listed = findings.findings[:LISTED]
    made = f"Maps made by: {findings.explanations.engine}"
    lines = [findings.reason, "", _maps(findings), made, _found(findings)]
    lines += [f"  {f.severity.value:<8}  {f.title} ({f.rung.value})" for f in listed]
    more = len(findings.findings) - len(listed)
    if more > 0:
        lines.append(f"  and {count(more)} more")
    lines += [_read(findings), _accuracy(findings)]
    lines += [f"Note: {warning}" for warning in findings.warnings]
    return "\n".join(visible(line).replace("\u00a0", " ") for line in lines)


def _maps(findings: Findings) -> str:
    checks = findings.explanations.checks
    status = findings.explanations.status
    passed = sum(c.status is CheckStatus.PASS for c in checks)
    line = f"Maps: {status.value} ({passed} of {plural(len(checks), 'check')} passed)"
    if status is not Trust.TRUSTED:
        line += ": " + ", ".join(c.id for c in checks if c.status is not CheckStatus.PASS)
    return line


def _found(findings: Findings) -> str:
    line = f"Findings: {by_severity(findings.findings)}"
    if findings.not_found:
        line += f"; {count(len(findings.not_found))} looked for and not found"
    return line


def _read(findings: Findings) -> str:
    skipped = sum(findings.inputs.skipped.values())
    return f"Images: {count(findings.inputs.read)} read, {count(skipped)} skipped"


def _accuracy(findings: Findings) -> str:
    p = findings.performance
    if not p.n or p.accuracy is None:
        return "Accuracy: unknown, the images have no labels"
    span = percent_interval(p.accuracy_low, p.accuracy_high, 1)
    return f"Accuracy: {percent(p.accuracy, 1)}" + (f" (95 % interval {span})" if span else "")
