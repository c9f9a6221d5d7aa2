"""findings.sarif: one result per finding in SARIF 2.1.0, for code scanning and its like.

OASIS, Static Analysis Results Interchange Format 2.1.0. GitHub shows at most 1,000 locations of a
result and 25,000 results; a finding names at most 100 images here, the rest are in findings.json.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from melaudit import wording
from melaudit.findings import Evidence, Finding, Findings, Severity
from melaudit.gate import GateResult
from melaudit.policy import Waiver
from melaudit.reports.formats.interface import Format

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
MAX_LOCATIONS = 100
IMAGES = "IMAGES"
"""The name for the data set's folder, which the images' addresses start from."""

LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}


def to_sarif(findings: Findings, gate: GateResult | None = None) -> str:
    """Return findings as the text of a SARIF file; the same findings give the same bytes.

    With a gate's result, waived findings are marked as suppressed and, where a baseline was given,
    every finding says whether it is new.
    """
    detectors = sorted({f.detector for f in findings.findings})
    waived = {} if gate is None else dict(gate.waived)
    results = []
    for finding in findings.findings:
        result = _result(finding, detectors.index(finding.detector), findings)
        if finding.id in waived:
            result["suppressions"] = [_suppression(waived[finding.id])]
        if gate is not None and gate.has_baseline:
            result["baselineState"] = "unchanged" if finding.id in gate.known else "new"
        results.append(result)
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(findings, detectors)},
                "automationDetails": {"id": f"melaudit/{_shown(findings.provenance.model)}/"},
                "originalUriBaseIds": {
                    IMAGES: {"description": {"text": "The folder of the audited images."}}
                },
                "columnKind": "unicodeCodePoints",
                "results": results,
                "properties": _run_properties(findings),
            }
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


def fingerprint(finding: Finding) -> str:
    """Return a hash that stays the same between runs as long as the claim does."""
    return hashlib.sha256(finding.id.encode("utf-8", "surrogatepass")).hexdigest()


def _shown(text: str) -> str:
    """Return a text without hidden characters and without a link that a viewer would follow."""
    return wording.visible_as_code_points(text).replace(wording.NBSP, " ").replace("](", "] (")


def _driver(findings: Findings, detectors: list[str]) -> dict[str, Any]:
    return {
        "name": "melaudit",
        "version": _shown(findings.provenance.versions.get("melaudit", "")) or "unknown",
        "rules": [_rule(detector, findings) for detector in detectors],
    }


def _rule(detector: str, findings: Findings) -> dict[str, Any]:
    own = [f for f in findings.findings if f.detector == detector]
    worst = max(own, key=lambda f: f.severity.rank)
    return {
        "id": _shown(detector),
        "name": wording.capitalised(wording.human(detector)),
        "shortDescription": {"text": f"Findings of the detector {_shown(detector)}."},
        "help": {"text": _shown(f"What to do: {worst.remedy}")},
        "defaultConfiguration": {"level": LEVELS[worst.severity]},
    }


def _result(finding: Finding, rule: int, findings: Findings) -> dict[str, Any]:
    images = finding.images[:MAX_LOCATIONS]
    left = len(finding.images) - len(images)
    more = f" {wording.count(left)} further images are named in findings.json." if left else ""
    return {
        "ruleId": _shown(finding.detector),
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "message": {
            "text": _shown(
                f"{finding.title.rstrip('.')}. {finding.statement} Does not show: "
                f"{finding.does_not_show}{more}"
            )
        },
        # Without any image the model itself is the place: viewers want one.
        "locations": [_location(image) for image in images]
        or [_location(findings.provenance.model, base=None)],
        "partialFingerprints": {"melauditFinding/v1": fingerprint(finding)},
        "rank": round(100 * finding.confidence, 1) if wording.is_known(finding.confidence) else -1,
        "properties": {
            "id": _shown(finding.id),
            "severity": finding.severity.value,
            "rung": finding.rung.value,
            "images": len(finding.images),
            "evidence": [_evidence(e) for e in finding.evidence],
        },
    }


def _location(name: str, base: str | None = IMAGES) -> dict[str, Any]:
    # Percent-encoded as a whole: a name is a path below the base, never an address of its own.
    place: dict[str, Any] = {"uri": quote(_bytes(name), safe="/")}
    if base is not None:
        place["uriBaseId"] = base
    return {"physicalLocation": {"artifactLocation": place}}


def _bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")  # the bytes of the file's own name
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def _evidence(evidence: Evidence) -> Mapping[str, Any]:
    return {
        "rung": evidence.rung.value,
        "name": _shown(evidence.name),
        "estimate": _number(evidence.estimate),
        "ci_low": _number(evidence.ci_low),
        "ci_high": _number(evidence.ci_high),
        "q_value": _number(evidence.q_value),
        "n": evidence.n,
        "reached": evidence.reached,
    }


def _number(value: float | None) -> float | None:
    return value if wording.is_known(value) else None


def _suppression(waiver: Waiver) -> dict[str, Any]:
    justification = f"{waiver.reason} ({waiver.owner}, until {waiver.expires})"
    return {"kind": "external", "status": "accepted", "justification": _shown(justification)}


def _run_properties(findings: Findings) -> dict[str, Any]:
    p = findings.provenance
    return {
        "verdict": findings.verdict.value,
        "reason": _shown(findings.reason),
        "maps": findings.explanations.status.value,
        "model_sha256": _shown(p.model_sha256),
        "data_fingerprint": _shown(p.data_fingerprint),
        "images_read": findings.inputs.read,
    }


SARIF = Format(
    id="sarif",
    file="findings.sarif",
    about="SARIF 2.1.0, for code scanning",
    render=to_sarif,
)
