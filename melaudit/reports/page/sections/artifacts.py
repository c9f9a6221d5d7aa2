"""Every artifact that was looked for: found, not found, or not tested."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from melaudit import wording
from melaudit.findings import Evidence, Finding, Findings, NotFound, Reaction, Rung, Skipped
from melaudit.reports import scales
from melaudit.reports.ladder import Step, ladder
from melaudit.reports.page import charts
from melaudit.wording import terms
from melaudit.wording.detectors import artifact_of, is_artifact, title_of
from melaudit.wording.sentences import first_sentence

MAX_ROWS = 40
MAX_FACT = 400
"""Characters of a sentence that another package may have written."""
_CLAUSE_END = re.compile(r"[:;]\s|\.\s")


@dataclass(frozen=True)
class ArtifactRow:
    """One artifact."""

    artifact: str
    """What it is called."""
    link: str
    """Anchor of the finding's card; empty when there is none."""
    state: str
    """"found", "reaction", "excluded", "unclear" or "untested"."""
    word: str
    """The state in words, where there are no rungs to show."""
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
    """Per kind of effect; empty unless it was not found."""


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
    field: str
    """What kind of pictures these are; empty where the audit does not say."""
    facts: tuple[str, ...]
    """What is known of shortcuts in that field."""


def artifacts(findings: Findings, anchors: Mapping[str, str]) -> ArtifactSection:
    """Return one row per artifact, the most severe findings first.

    anchors: where a finding stands on the page, by its id.
    """
    rows: dict[str, ArtifactRow] = {}
    for finding in findings.findings:
        artifact = artifact_of(findings, finding)
        if artifact is not None:
            link = anchors.get(finding.id, "")
            rows.setdefault(artifact, _found(title_of(findings, artifact), finding, link))
    for reaction in findings.reactions:
        title = title_of(findings, reaction.artifact)
        rows.setdefault(reaction.artifact, _reaction(title, reaction))
    for artifact, missing in _not_found(findings).items():
        rows.setdefault(artifact, _absent(title_of(findings, artifact), missing))
    for skipped in findings.skipped:
        if is_artifact(findings, skipped.detector):
            title = title_of(findings, skipped.detector)
            rows.setdefault(skipped.detector, _untested(title, skipped))
    return ArtifactSection(
        tuple(rows.values())[:MAX_ROWS],
        _note(findings, len(rows) - MAX_ROWS),
        wording.name(findings.domain.title),
        tuple(wording.name(fact, MAX_FACT) for fact in findings.domain.facts[:MAX_ROWS]),
    )


def _note(findings: Findings, left: int) -> str:
    notes = []
    if findings.domain.title:
        field = wording.name(findings.domain.title)
        why = wording.name(findings.domain.chosen, MAX_FACT)
        notes.append(f"The list is that of {field}. {why}")
    if left > 0:
        notes.append(f"{wording.many_unbroken(left, 'more row')} in findings.json.")
    if not findings.detectors:
        notes.append(
            "This audit does not say which of its detectors look for artifacts, so only those that "
            "were found are listed."
        )
    return " ".join(notes)


def _not_found(findings: Findings) -> dict[str, list[NotFound]]:
    """Return artifact -> all tests that did not find it."""
    tests: dict[str, list[NotFound]] = {}
    for missing in findings.not_found:
        if is_artifact(findings, missing.artifact):
            tests.setdefault(missing.artifact, []).append(missing)
    return tests


def _found(title: str, finding: Finding, link: str) -> ArtifactRow:
    tested = [e for e in finding.evidence if e.rung is Rung.OPPORTUNITY]
    bare = ArtifactRow(
        artifact=title,
        link=link,
        state="found",
        word="",
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
    """Return the fields of a row that are about the association with the label."""
    is_ratio = "ratio" in evidence.name.lower()
    return {
        "opportunity": wording.figure(evidence.estimate),
        "interval": wording.span(evidence.ci_low, evidence.ci_high),
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


def _reaction(title: str, reaction: Reaction) -> ArtifactRow:
    return replace(
        _untested(title, Skipped(reaction.artifact, first_sentence(reaction.statement))),
        link="reactions",
        state="reaction",
        word=terms.ABSENCE["reaction"],
        n=wording.count(reaction.n),
    )


def _absent(title: str, missing: Sequence[NotFound]) -> ArtifactRow:
    first, *further = missing
    more = (
        f" {wording.many_unbroken(len(further), 'further test')} found nothing." if further else ""
    )
    excluded = all(m.excluded for m in missing if m.excluded is not None) and any(
        m.excluded for m in missing
    )
    state = "excluded" if excluded else "unclear"
    return ArtifactRow(
        artifact=title,
        link="",
        state=state,
        word=terms.ABSENCE[state],
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
    """Return what a statement says before its figures; another section shows all of it."""
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


def _untested(title: str, skipped: Skipped) -> ArtifactRow:
    return ArtifactRow(
        artifact=title,
        link="",
        state="untested",
        word=terms.ABSENCE["untested"],
        outcome=skipped.reason,
        opportunity=wording.DASH,
        interval="",
        measured="",
        n=wording.DASH,
        chart=None,
        steps=(),
        least=(),
    )
