"""The index of the audits of a multi-label model: what was found for each label, and where.

Every label has a report of its own. `LabelAudit` is one of them; `build_index` gathers what the
page shows, and `templates/labels.html.j2` draws it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from melaudit import templates, wording
from melaudit.findings import Finding, Findings, Verdict
from melaudit.reports.page.plates import Plate
from melaudit.wording import terms
from melaudit.wording.sentences import many

_WORST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.PASS)
_SAID = {
    Verdict.FAIL: "fail",
    Verdict.INCONCLUSIVE: "are inconclusive",
    Verdict.WARN: "get a warning",
    Verdict.PASS: "pass",
}
_MAX_FINDINGS = 3
"""Findings of a label that the index names. Chosen: a round figure, not measured."""


@dataclass(frozen=True)
class LabelAudit:
    """The audit of one label of a multi-label model, or the only audit of another model."""

    label: str
    """Empty for a model that is not multi-label."""
    folder: str
    """Of its report, relative to the output folder; empty where that is the folder."""
    findings: Findings


def worst(audits: Sequence[LabelAudit]) -> Verdict:
    """Return the worst verdict: a failure, else one that is open, else a warning, else a pass."""
    verdicts = {audit.findings.verdict for audit in audits}
    return next(verdict for verdict in _WORST_FIRST if verdict in verdicts)


def to_json(audits: Sequence[LabelAudit]) -> str:
    """Return the index as JSON, in the order of the model's outputs; only ASCII is written."""
    plain = {"verdict": worst(audits).value, "labels": [_plain(audit) for audit in audits]}
    return json.dumps(plain, indent=2, ensure_ascii=True) + "\n"


def _plain(audit: LabelAudit) -> dict[str, Any]:
    found = audit.findings
    absent, present = _counts(found)
    return {
        "label": audit.label,
        "folder": audit.folder,
        "verdict": found.verdict.value,
        "reason": found.reason,
        "present": present,
        "absent": absent,
        "auc": found.performance.auc,
        "findings": [
            {"id": f.id, "title": f.title, "severity": f.severity.value, "rung": f.rung.value}
            for f in found.findings
        ],
    }


@dataclass(frozen=True)
class LabelRow:
    """One label as shown."""

    label: str
    link: str
    """Of its report."""
    kind: str
    verdict: str
    present: str
    absent: str
    auc: str
    findings: tuple[tuple[str, str], ...]
    """(severity, title), the most severe first."""
    more: str
    """How many findings are not named; empty for none."""


@dataclass(frozen=True)
class IndexPage:
    """Everything the template shows."""

    title: str
    model: str
    headline: str
    rows: tuple[LabelRow, ...]
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    version: str
    plates: tuple[Plate, ...] = ()
    legend: tuple[tuple[str, str, str], ...] = ()
    """The index shows no pictures."""


def build_index(audits: Sequence[LabelAudit]) -> IndexPage:
    """Gather what the index shows; the worst verdict comes first."""
    first = audits[0].findings
    tests = sum(len(audit.findings.tests) for audit in audits)
    order = sorted(audits, key=lambda audit: _WORST_FIRST.index(audit.findings.verdict))
    shared = [w for w in first.warnings if all(w in a.findings.warnings for a in audits)]
    return IndexPage(
        title=f"melaudit: {wording.name(first.provenance.model, 40)}, {len(audits)} labels",
        model=wording.name(first.provenance.model, 40),
        headline=headline(audits),
        rows=tuple(_row(audit) for audit in order),
        notes=(
            f"Each label is audited by itself. The {many(tests, 'test')} of all labels were "
            "corrected together, so that the more labels there are, the clearer each finding "
            "must be.",
            "A finding of one label says nothing of the others.",
            *(wording.name(warning, 600) for warning in shared),
        ),
        facts=(
            ("Model", wording.name(first.provenance.model)),
            ("Architecture", wording.name(first.provenance.architecture)),
            ("SHA-256", first.provenance.model_sha256[:16]),
            (
                "Images",
                f"{wording.count(first.inputs.read)} of {wording.name(first.provenance.data)}",
            ),
            ("Made", wording.moment(first.provenance.started)),
        ),
        version=wording.name(first.provenance.versions.get("melaudit", "")),
    )


def headline(audits: Sequence[LabelAudit]) -> str:
    """Return how the labels ended, the worst first, in one sentence."""
    parts = []
    for verdict in _WORST_FIRST:
        labels = [a.label for a in audits if a.findings.verdict is verdict]
        if not labels:
            continue
        named = f" ({', '.join(wording.name(label, 40) for label in labels[:6])}" + (
            " and others)" if len(labels) > 6 else ")"
        )
        said = _SAID[verdict] if len(labels) > 1 else _SINGULAR[verdict]
        parts.append(f"{len(labels)} {said}{named}")
    return f"Of {len(audits)} labels, {', '.join(parts)}."


_SINGULAR = {
    Verdict.FAIL: "fails",
    Verdict.INCONCLUSIVE: "is inconclusive",
    Verdict.WARN: "gets a warning",
    Verdict.PASS: "passes",
}


def to_html(audits: Sequence[LabelAudit]) -> str:
    """Return the index as one self-contained HTML text; its links lead to the reports beside it."""
    return templates.render("labels.html.j2", page=build_index(audits))


def _row(audit: LabelAudit) -> LabelRow:
    found = audit.findings
    absent, present = _counts(found)
    more = len(found.findings) - _MAX_FINDINGS
    return LabelRow(
        label=wording.name(audit.label, 60),
        link=f"{quote(audit.folder)}/report.html",
        kind=found.verdict.value,
        verdict=terms.VERDICTS[found.verdict],
        present=wording.count(present),
        absent=wording.count(absent),
        auc=wording.figure(found.performance.auc),
        findings=tuple(_finding(f) for f in found.findings[:_MAX_FINDINGS]),
        more=f"and {wording.count(more)} more" if more > 0 else "",
    )


def _finding(finding: Finding) -> tuple[str, str]:
    return finding.severity.value, wording.name(finding.title, 140)


def _counts(findings: Findings) -> tuple[int, int]:
    """Return how many images lack the label and how many have it."""
    counts = [c.n for c in findings.performance.per_class]
    return (counts[0], counts[1]) if len(counts) == 2 else (0, 0)
