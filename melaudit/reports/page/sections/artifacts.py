"""Every artifact that was looked for: found, not found, or not tested."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from melaudit.findings import Evidence, Finding, Findings, NotFound, Rung, Skipped
from melaudit.reports import explain, scales
from melaudit.reports.page import charts
from melaudit.reports.page.sections.ladder import Step, ladder
from melaudit.wording import figures as wording
from melaudit.wording import terms

MAX_ROWS = 40
_CLAUSE_END = re.compile(r"[:;]\s|\.\s")


@dataclass(frozen=True)
class ArtifactRow:
    """One artifact."""

    artifact: str
    link: str
    """Anchor of the finding's card; empty when there is none."""
    state: str
    """"found", "absent" or "untested"."""
    outcome: str
    """What came of it, in a few words."""
    opportunity: str
    """Figure of the association with the label; a dash when there is none."""
    interval: str
    measured: str
    """What the figure is: "odds ratio"."""
    n: str
    chart: charts.Interval | None
    steps: tuple[Step, ...]
    """The rungs of the finding; empty without one."""
    least: tuple[Least, ...]
    """Per kind of effect; empty but for what was not found."""


@dataclass(frozen=True)
class Least:
    """The smallest effect that would have been seen."""

    figure: str
    effect: str
    n: str


@dataclass(frozen=True)
class ArtifactSection:
    """All artifacts."""

    rows: tuple[ArtifactRow, ...]
    note: str


def artifacts(findings: Findings, cards: int) -> ArtifactSection:
    """Return one row per artifact, the most severe findings first.

    cards: how many findings, from the first, have a card to link to.
    """
    rows: dict[str, ArtifactRow] = {}
    for number, finding in enumerate(findings.findings, 1):
        if finding.artifact is not None:
            row = _found(finding, f"finding-{number}" if number <= cards else "")
            rows.setdefault(finding.artifact, row)
    for name, missing in _sought(findings).items():
        rows.setdefault(name, _absent(missing))
    for skipped in findings.skipped:
        if skipped.detector in explain.ARTIFACTS:
            rows.setdefault(skipped.detector, _untested(skipped))
    left = len(rows) - MAX_ROWS
    return ArtifactSection(
        tuple(rows.values())[:MAX_ROWS],
        f"{wording.plural(left, 'more row')} in findings.json." if left > 0 else "",
    )


def _sought(findings: Findings) -> dict[str, list[NotFound]]:
    """Return artifact -> all tests that did not find it."""
    sought: dict[str, list[NotFound]] = {}
    for missing in findings.not_found:
        if missing.artifact.split(".")[0] not in explain.NO_ARTIFACTS:
            sought.setdefault(missing.artifact, []).append(missing)
    return sought


def _found(finding: Finding, link: str) -> ArtifactRow:
    assert finding.artifact is not None
    tested = [e for e in finding.evidence if e.rung is Rung.OPPORTUNITY]
    bare = ArtifactRow(
        artifact=wording.sentence(wording.human(finding.artifact)),
        link=link,
        state="found",
        outcome=f"{finding.severity.value}: {terms.RUNGS[finding.rung]}",
        opportunity=wording.DASH,
        interval="",
        measured="",
        n="",
        chart=None,
        steps=ladder(finding),
        least=(),
    )
    return replace(bare, **_association(tested[0])) if tested else bare


def _association(evidence: Evidence) -> dict[str, Any]:
    """Return the fields of a row that tell how an artifact goes with the label."""
    is_ratio = "ratio" in evidence.name.lower()
    return {
        "opportunity": wording.figure(evidence.estimate),
        "interval": wording.interval(evidence.ci_low, evidence.ci_high),
        "measured": evidence.name,
        "n": wording.count(evidence.n),
        "chart": charts.interval(
            evidence.estimate,
            evidence.ci_low,
            evidence.ci_high,
            reference=1.0 if is_ratio else 0.0,
            log=is_ratio,
        ),
    }


def _absent(missing: Sequence[NotFound]) -> ArtifactRow:
    first, *further = missing
    more = f" {wording.plural(len(further), 'further test')} saw nothing." if further else ""
    return ArtifactRow(
        artifact=wording.sentence(wording.human(first.artifact)),
        link="",
        state="absent",
        outcome=f"{_first_clause(first.statement)}.{more}",
        opportunity=wording.DASH,
        interval="",
        measured="",
        n=wording.count(first.n),
        chart=None,
        steps=(),
        least=_least(missing),
    )


def _first_clause(statement: str) -> str:
    """Return what a statement says before it gives the figures; all is in its own section."""
    return _CLAUSE_END.split(statement, maxsplit=1)[0].rstrip(".")


def _least(missing: Sequence[NotFound]) -> tuple[Least, ...]:
    """Return what the most sensitive test of each kind would have seen."""
    known = [m for m in missing if wording.is_known(m.minimum_detectable_effect)]
    best: dict[str, NotFound] = {}
    for m in sorted(known, key=lambda m: m.minimum_detectable_effect or 0.0):
        best.setdefault(m.effect, m)
    kinds = dict.fromkeys(m.effect for m in known)
    return tuple(
        Least(
            scales.written(kind, best[kind].minimum_detectable_effect),
            scales.plain(kind),
            wording.count(best[kind].n),
        )
        for kind in kinds
    )


def _untested(skipped: Skipped) -> ArtifactRow:
    return ArtifactRow(
        artifact=wording.sentence(wording.human(skipped.detector)),
        link="",
        state="untested",
        outcome=skipped.reason,
        opportunity=wording.DASH,
        interval="",
        measured="",
        n=wording.DASH,
        chart=None,
        steps=(),
        least=(),
    )
