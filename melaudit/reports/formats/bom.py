"""bom.cdx.json: the audited model as a machine-learning bill of materials, CycloneDX 1.6.

The model is a component of the type `machine-learning-model` with a `modelCard`: performance with
intervals, findings as risks with what to do, and what the audit does not show as limitations. The
libraries that the figures depend on are components with their versions.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from melaudit import wording
from melaudit.findings import Finding, Findings, Performance
from melaudit.reports.formats.interface import Format
from melaudit.wording import terms
from melaudit.wording.detectors import title_of

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
MODEL, DATA = "model", "data"
"""References inside the bill."""

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "melaudit")


def to_bom(findings: Findings) -> str:
    """Return the bill of materials as JSON; the same findings give the same bytes."""
    p = findings.provenance
    libraries = [_library(k, n, v) for k, (n, v) in enumerate(_others(p.versions), 1)]
    identity = f"{p.model_sha256}\n{p.data_fingerprint}\n{p.started}"
    plain = identity.encode("ascii", "backslashreplace").decode()  # it may hold lone surrogates
    document = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, plain)}",
        "version": 1,
        "metadata": {
            "timestamp": p.started,
            "tools": {"components": [_tool(findings)]},
            "component": _model(findings),
        },
        "components": [_data(findings), *libraries],
        "dependencies": [
            {"ref": MODEL, "dependsOn": [DATA, *(library["bom-ref"] for library in libraries)]}
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


def _text(text: str) -> str:
    return wording.visible_as_code_points(text).replace(wording.NBSP, " ")


def _others(versions: Any) -> list[tuple[str, str]]:
    return [(n, v) for n, v in versions.items() if n != "melaudit" and v != "not installed"]


def _tool(findings: Findings) -> dict[str, Any]:
    version = _text(findings.provenance.versions.get("melaudit", "")) or "unknown"
    return {"type": "application", "name": "melaudit", "version": version}


def _library(number: int, name: str, version: str) -> dict[str, Any]:
    return {
        "type": "platform" if name == "python" else "library",
        "bom-ref": f"library-{number}",
        "name": _text(name),
        "version": _text(version),
    }


def _data(findings: Findings) -> dict[str, Any]:
    p = findings.provenance
    return {
        "type": "data",
        "bom-ref": DATA,
        "name": _text(p.data) or "images",
        "data": [
            {
                "type": "dataset",
                "name": _text(p.data),
                "description": f"{findings.inputs.read} images on which the model was audited.",
            }
        ],
        "properties": [{"name": "melaudit:data_fingerprint", "value": _text(p.data_fingerprint)}],
    }


def _model(findings: Findings) -> dict[str, Any]:
    p = findings.provenance
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": _text(p.model) or "model",
        "modelCard": {
            "bom-ref": "model-card",
            "modelParameters": {
                "task": "image classification",
                "modelArchitecture": _text(p.architecture),
                "datasets": [{"ref": DATA}],
                "inputs": [{"format": "image"}],
                "outputs": [{"format": f"logits of: {', '.join(_text(c) for c in p.classes)}"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": _metrics(findings.performance)},
            "considerations": {
                "technicalLimitations": _limitations(findings),
                "ethicalConsiderations": [_risk(f) for f in findings.findings],
            },
            "properties": _properties(findings),
        },
    }
    if _SHA256.fullmatch(p.model_sha256):
        component["hashes"] = [{"alg": "SHA-256", "content": p.model_sha256}]
    return component


def _metrics(p: Performance) -> list[dict[str, Any]]:
    found = []
    if wording.is_known(p.accuracy):
        found.append(_metric("accuracy", p.accuracy, p.accuracy_low, p.accuracy_high))
    if wording.is_known(p.auc):
        found.append(_metric("area under the ROC curve", p.auc, None, None))
    for c in p.per_class:
        if wording.is_known(c.recall):
            metric = _metric("recall", c.recall, c.recall_low, c.recall_high)
            found.append({**metric, "slice": f"label {_text(c.name)}, {c.n} images"})
    return found


def _metric(
    kind: str, value: float | None, low: float | None, high: float | None
) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": kind, "value": f"{value:.4f}"}
    if wording.is_known(low) and wording.is_known(high):
        metric["confidenceInterval"] = {"lowerBound": f"{low:.4f}", "upperBound": f"{high:.4f}"}
    return metric


def _risk(finding: Finding) -> dict[str, Any]:
    name = f"{finding.title.rstrip('.')} ({finding.severity.value}, {finding.rung.value})"
    return {"name": _text(name), "mitigationStrategy": _text(finding.remedy)}


def _limitations(findings: Findings) -> list[str]:
    limits = [f"Not tested: {title_of(findings, s.detector)}: {s.reason}" for s in findings.skipped]
    limits += [n.statement for n in findings.not_found]
    return [_text(line) for line in (*limits, *terms.never_shown(findings.domain.words))]


def _properties(findings: Findings) -> list[dict[str, str]]:
    p = findings.provenance
    named = {
        "verdict": findings.verdict.value,
        "reason": findings.reason,
        "maps": findings.explanations.status.value,
        "preprocessing": p.preprocessing,
        "command": p.command,
        "seed": str(p.seed),
    }
    own = [{"name": f"melaudit:{k}", "value": _text(v)} for k, v in named.items()]
    return own + [
        {"name": f"melaudit:finding:{_text(f.id)}", "value": _text(f.statement)}
        for f in findings.findings
    ]


BOM = Format(
    id="bom",
    file="bom.cdx.json",
    about="a bill of materials of the model, CycloneDX 1.6",
    render=lambda findings, _: to_bom(findings),
    for_record=True,
)
