"""From measured columns to results: checks first, then findings, then control of false alarms."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

from melaudit.detectors.interface import Detector, Result
from melaudit.findings import (
    Check,
    CheckStatus,
    Evidence,
    Finding,
    NotFound,
    Rung,
    Skipped,
    Trust,
    severity_of,
)
from melaudit.measurements import Measurements

ALPHA = 0.05
"""Expected share of false claims among all that a run makes."""


@dataclass(frozen=True)
class Conclusions:
    """What the detectors made of the measurements."""

    checks: tuple[Check, ...]
    trust: Trust
    findings: tuple[Finding, ...]
    """The most severe first."""
    not_found: tuple[NotFound, ...]
    skipped: tuple[Skipped, ...]


def conclude(detectors: Sequence[Detector], measurements: Measurements) -> Conclusions:
    """Let the checks conclude, then all other detectors in the light of their outcome."""
    first = [r for d in detectors if d.checks_explanations for r in _results(d, measurements)]
    checks = tuple(r for r in first if isinstance(r, Check))
    outcome = trust(checks)
    judged = dataclasses.replace(measurements, explanations=outcome)
    later = [r for d in detectors if not d.checks_explanations for r in _results(d, judged)]
    found = [r for r in later if isinstance(r, Finding)]
    findings, refuted = control_false_alarms(
        found if measurements.skilled else [_without_model(finding) for finding in found],
        [r for r in later if isinstance(r, NotFound)],
    )
    return Conclusions(
        checks=checks,
        trust=outcome,
        findings=tuple(sorted(findings, key=lambda f: (-f.severity.rank, -f.confidence, f.id))),
        not_found=tuple(refuted),
        skipped=tuple(r for r in [*first, *later] if isinstance(r, Skipped)),
    )


def trust(checks: Sequence[Check]) -> Trust:
    """Join the checks: one failure makes the maps unusable, one doubt degrades them.

    No check at all degrades them too: nobody looked.
    """
    statuses = {check.status for check in checks}
    if CheckStatus.FAIL in statuses:
        return Trust.UNUSABLE
    return Trust.TRUSTED if statuses == {CheckStatus.PASS} else Trust.DEGRADED


def control_false_alarms(
    findings: Sequence[Finding], not_found: Sequence[NotFound]
) -> tuple[list[Finding], list[NotFound]]:
    """Give every p-value its q-value (Benjamini & Hochberg 1995) over all that was tested.

    Evidence whose q-value exceeds ALPHA no longer carries its rung; a finding left without a rung
    becomes a thing not found.
    """
    tested = [e.p_value for f in findings for e in f.evidence if e.p_value is not None]
    in_vain = [r.p_value for r in not_found if r.p_value is not None]
    p = np.clip(np.array([*tested, *in_vain], float), 0, 1)
    q = iter(false_discovery_control(p) if len(p) else ())
    kept: list[Finding] = []
    refuted = list(not_found)
    for finding in findings:
        evidence = tuple(
            e if e.p_value is None else _with_q(e, float(next(q))) for e in finding.evidence
        )
        reached = {e.rung for e in evidence if e.reached}
        if reached:
            kept.append(
                dataclasses.replace(
                    finding,
                    evidence=evidence,
                    rung=max(reached, key=lambda r: r.rank),
                    severity=min(
                        finding.severity,
                        severity_of(reached, {e.rung for e in evidence}),
                        key=lambda s: s.rank,
                    ),
                )
            )
        else:
            refuted.append(_refuted(finding))
    return kept, refuted


def _without_model(finding: Finding) -> Finding:
    """Let nothing count that is about a model whose predictions do not follow the labels."""
    evidence = (
        e if e.rung is Rung.OPPORTUNITY else dataclasses.replace(e, reached=False)
        for e in finding.evidence
    )
    return dataclasses.replace(finding, evidence=tuple(evidence))


def _with_q(evidence: Evidence, q: float) -> Evidence:
    return dataclasses.replace(evidence, q_value=q, reached=evidence.reached and q <= ALPHA)


def _refuted(finding: Finding) -> NotFound:
    return NotFound(
        artifact=finding.artifact or finding.id,
        n=max(e.n for e in finding.evidence),
        minimum_detectable_effect=None,
        effect="",
        # One clause: a table that quotes the first clause alone must not quote the claim.
        statement=f'Nothing is left of "{finding.title.rstrip(".")}" once the number of tests is '
        "counted in.",
    )


def _results(detector: Detector, measurements: Measurements) -> Sequence[Result]:
    """Let one detector conclude; its failure is a result, not the end of the run."""
    try:
        return detector.conclude(measurements)
    except Exception as error:
        reason = f"it failed: {type(error).__name__}: {error}"
        if detector.checks_explanations:  # a check that cannot answer must not look passed
            broken = Check(detector.id, CheckStatus.DEGRADED, None, float("nan"), reason)
            return (broken, Skipped(detector.id, reason))
        return (Skipped(detector.id, reason),)
