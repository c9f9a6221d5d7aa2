"""Whose result is whose, what it is called, and whether it is about an artifact.

All of it comes from `Findings.detectors`, in which each detector of the run says what it is called
and what it asks about. So a third party's detector is treated like ours, and no output needs a list
of names. An audit of an earlier melaudit lists no detectors; then results are called by their ids.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from melaudit.findings import Check, CheckStatus, DetectorInfo, Finding, Findings, Rung, Subject
from melaudit.wording.names import human, name
from melaudit.wording.sentences import capitalised, many_unbroken


def belongs(result: str, detector: str) -> bool:
    """Tell whether a result is of the detector with this id.

    A result has the detector's id, alone ("hair") or with what was looked at behind it
    ("property_label.colour", "outside_lesion (errors)").
    """
    return result == detector or result.startswith((f"{detector}.", f"{detector} "))


def detector_of(findings: Findings, result: str) -> DetectorInfo | None:
    """Return the detector that a result belongs to; None where the run had no such detector.

    `result` is the id of a finding or a check, the artifact of a `NotFound` or the detector of a
    `Skipped`.
    """
    return _owner(findings.detectors, result)


def _owner(detectors: Sequence[DetectorInfo], result: str) -> DetectorInfo | None:
    owners = [d for d in detectors if belongs(result, d.id)]
    return max(owners, key=lambda d: len(d.id), default=None)


def title_of(findings: Findings, result: str) -> str:
    """Return what a result is called: "Hairs over the skin", "Copies of one image: names"."""
    return called(findings.detectors, result)


def called(detectors: Sequence[DetectorInfo], result: str) -> str:
    """Return the same, from the detectors of a run."""
    detector = _owner(detectors, result)
    if detector is None:
        return capitalised(human(result))
    rest = result.removeprefix(detector.id).strip(" .()")
    title = name(detector.title)
    return f"{title}: {human(rest)}" if rest else title


def passed_checks(checks: Sequence[Check]) -> str:
    """Return "6 of 7 checks passed"."""
    passed = sum(check.status is CheckStatus.PASS for check in checks)
    return f"{passed} of {many_unbroken(len(checks), 'check')} passed"


def is_artifact(findings: Findings, result: str) -> bool:
    """Tell whether a result comes from a detector that looks for an artifact."""
    detector = detector_of(findings, result)
    return detector is not None and detector.subject is Subject.ARTIFACT


def artifact_of(findings: Findings, finding: Finding) -> str | None:
    """Return the artifact that a finding is about, None for a finding about anything else.

    It is the finding's own `artifact` where a detector of artifacts found it, or where it is an
    artifact that this run looked for; the finding's id where such a detector names none.
    """
    if not findings.detectors:  # an earlier melaudit's: the finding itself is all there is to ask
        return finding.artifact
    if is_artifact(findings, finding.detector):
        return finding.artifact or finding.id
    if finding.artifact is not None and is_artifact(findings, finding.artifact):
        return finding.artifact
    return None


def mitigation_command(findings: Findings, finding: Finding) -> str:
    """Return the command that mitigates a finding, "" for one that it cannot.

    It can where edits showed that decisions depend on an artifact.
    """
    used = finding.rung.rank >= Rung.DEPENDENCE.rank
    if not used or not findings.detectors or not is_artifact(findings, finding.detector):
        return ""
    out = shlex.quote(str(findings.provenance.config.get("out") or "audit"))
    return f"melaudit mitigate {out} --finding {shlex.quote(finding.id)}"
