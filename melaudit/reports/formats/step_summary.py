"""The summary of a build step in Markdown, as GitHub shows it under a run.

GitHub drops a summary of more than 1 MiB, and a comment holds 64 KB, so this one stays far below.
What does not fit is counted; the report has it.
"""

from __future__ import annotations

from melaudit import wording
from melaudit.findings import Finding, Findings
from melaudit.gate import GateResult, Outcome
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.markdown import prose, table
from melaudit.reports.ladder import carrying

MAX_BYTES = 200_000
MAX_FINDINGS = 50
"""Findings in the table."""
MAX_TEXT = 300
"""Characters of one cell."""

_SIGNS = {Outcome.PASS: "✅", Outcome.FAIL: "❌", Outcome.INCONCLUSIVE: "❔"}


def to_step_summary(findings: Findings, gate: GateResult) -> str:
    """Return an audit and its gate as Markdown of at most `MAX_BYTES` bytes."""
    lines = [
        f"## melaudit: {gate.outcome.value}",
        "",
        prose(wording.name(findings.reason, MAX_TEXT)),
        "",
        *table(
            ("", "Rule", "What was seen"),
            [
                (
                    f"{_SIGNS[rule.outcome]} {rule.outcome.value}",
                    _cell(rule.title),
                    _cell(rule.statement),
                )
                for rule in gate.rules
            ],
        ),
        "",
        *_findings(findings, gate),
        *(f"- {_cell(note)}" for note in gate.notes),
        "",
        _facts(findings),
    ]
    return _fitting(lines)


def _findings(findings: Findings, gate: GateResult) -> list[str]:
    if not findings.findings:
        return ["No findings.", ""]
    listed = findings.findings[:MAX_FINDINGS]
    left = len(findings.findings) - len(listed)
    rows = [
        (f.severity.value, f.rung.value, _cell(f.title), _figure(f), _state(f, gate))
        for f in listed
    ]
    more = [f"{wording.count(left)} more findings are in findings.json.", ""] if left else []
    return [*table(("Severity", "Rung", "Finding", "Figure", ""), rows), "", *more]


def _figure(finding: Finding) -> str:
    e = carrying(finding)
    if e is None:
        return ""
    span = wording.span(e.ci_low, e.ci_high)
    return _cell(f"{e.name} {wording.figure(e.estimate)} ({span}), n {wording.count(e.n)}")


def _state(finding: Finding, gate: GateResult) -> str:
    waivers = [w for identity, w in gate.waived if identity == finding.id]
    if waivers:
        return _cell(f"waived until {waivers[0].expires} by {waivers[0].owner}")
    if gate.has_baseline:
        return "known" if finding.id in gate.known else "new"
    return ""


def _facts(findings: Findings) -> str:
    p, i = findings.performance, findings.inputs
    accuracy = "unknown" if p.accuracy is None else wording.rounded_percent(p.accuracy, 1)
    line = (
        f"Model {findings.provenance.model}, "
        f"{wording.many_unbroken(i.read, 'image')} read, "
        f"{wording.not_used(i.lost, i.unseen_folders)}; "
        f"maps {findings.explanations.status.value}; accuracy {accuracy}."
    )
    return prose(line)


def _cell(text: str) -> str:
    return prose(wording.name(text, MAX_TEXT))


def _fitting(lines: list[str]) -> str:
    """Return as many whole lines as fit, and say when some do not."""
    note = "The rest did not fit here; it is in the report.\n"
    out: list[str] = []
    size = len(note)
    for line in lines:
        size += len(line.encode()) + 1
        if size > MAX_BYTES:
            return "\n".join([*out, "", note])
        out.append(line)
    return "\n".join(out) + "\n"


STEP_SUMMARY = Format(
    id="step-summary",
    file="step_summary.md",
    about="a summary in Markdown, for a step of a build",
    render=to_step_summary,
)
