"""Findings as pandas tables, for a notebook."""

from __future__ import annotations

import pandas as pd

from melaudit.findings import Findings


def findings_frame(findings: Findings) -> pd.DataFrame:
    """Return one row per finding, the most severe first; the index is the finding's id."""
    columns = ("severity", "rung", "confidence", "title", "statement", "artifact", "detector")
    rows = [
        {
            "finding": f.id,
            "severity": f.severity.value,
            "rung": f.rung.value,
            "confidence": f.confidence,
            "title": f.title,
            "statement": f.statement,
            "artifact": f.artifact,
            "detector": f.detector,
            "images": len(f.images),
        }
        for f in findings.findings
    ]
    return pd.DataFrame(rows, columns=["finding", *columns, "images"]).set_index("finding")


def evidence_frame(findings: Findings) -> pd.DataFrame:
    """Return one row per piece of evidence, in the order of the findings."""
    columns = ("name", "estimate", "ci_low", "ci_high", "p_value", "q_value", "n", "reached")
    rows = [
        {"finding": f.id, "rung": e.rung.value, **{c: getattr(e, c) for c in columns}}
        for f in findings.findings
        for e in f.evidence
    ]
    return pd.DataFrame(rows, columns=["finding", "rung", *columns])
