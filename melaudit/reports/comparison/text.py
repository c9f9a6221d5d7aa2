"""A comparison of two audits as plain text for a terminal, and as JSON's own types."""

from __future__ import annotations

from typing import Any

from melaudit import wording
from melaudit.findings import Findings
from melaudit.reports.comparison.changes import Change, Comparison, FindingChange
from melaudit.reports.comparison.figure_change import FigureChange
from melaudit.wording.names import visible_as_code_points


def comparison_text(comparison: Comparison) -> str:
    """Return a comparison in lines, safe to print; the first says what differs and by how much."""
    lines = [comparison.headline, ""]
    if comparison.cautions:
        lines += ["Not comparable without care:"]
        lines += [f"  {caution.statement}" for caution in comparison.cautions] + [""]
    lines += [_counted(comparison)]
    for change in comparison.changes:
        lines.append(f"  {change.change.value:<17} {change.statement}")
    lines += [comparison.accuracy_statement]
    for which, findings in (("Before", comparison.before), ("After", comparison.after)):
        lines.append(f"{which}: {_audit_words(findings)}")
    return "\n".join(visible_as_code_points(line).replace(wording.NBSP, " ") for line in lines)


def comparison_plain(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON's own types; ends that are not bounded are None."""
    return {
        "headline": comparison.headline,
        "comparable": not comparison.cautions,
        "cautions": [caution.statement for caution in comparison.cautions],
        "counts": {change.value: comparison.count(change) for change in Change},
        "changes": [_plain_change(change) for change in comparison.changes],
        "accuracy": None if comparison.accuracy is None else _plain_figure(comparison.accuracy),
        "before": _plain_audit(comparison.before),
        "after": _plain_audit(comparison.after),
    }


def _counted(comparison: Comparison) -> str:
    counts = [(change, comparison.count(change)) for change in Change]
    listed = ", ".join(f"{n} {change.value}" for change, n in counts if n)
    return f"Findings: {listed or 'none in either audit'}"


def _audit_words(findings: Findings) -> str:
    p = findings.provenance
    return (
        f"{p.model} ({p.architecture}), {findings.verdict.value}, "
        f"{wording.many_unbroken(findings.inputs.read, 'image')} in {p.data}, "
        f"{wording.date(p.started)}"
    )


def _plain_change(change: FindingChange) -> dict[str, Any]:
    sides = {"before": change.before, "after": change.after}
    return {
        "id": change.id,
        "title": change.title,
        "change": change.change.value,
        "statement": change.statement,
        "severity": {k: None if f is None else f.severity.value for k, f in sides.items()},
        "rung": {k: None if f is None else f.rung.value for k, f in sides.items()},
        "figures": [_plain_figure(figure) for figure in change.figures],
    }


def _plain_figure(figure: FigureChange) -> dict[str, Any]:
    return {
        "rung": figure.rung.value,
        "name": figure.name,
        "before": figure.before,
        "after": figure.after,
        "scale": "ratio" if figure.ratio else "difference",
        "change": figure.change,
        "ci_low": figure.low if wording.is_known(figure.low) else None,
        "ci_high": figure.high if wording.is_known(figure.high) else None,
        "clear": figure.clear,
    }


def _plain_audit(findings: Findings) -> dict[str, Any]:
    p = findings.provenance
    return {
        "model": p.model,
        "model_sha256": p.model_sha256,
        "data_fingerprint": p.data_fingerprint,
        "started": p.started,
        "verdict": findings.verdict.value,
        "images": findings.inputs.read,
    }
