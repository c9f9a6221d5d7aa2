"""What would show the failure that a finding tells of while the model is in use."""

from __future__ import annotations

from melaudit.findings import Finding, Findings
from melaudit.wording.detectors import artifact_of


def detectability(findings: Findings, finding: Finding) -> str:
    """Say what would show the failure while the model is in use."""
    alone = "A single prediction does not show it."
    if artifact_of(findings, finding) in {detector.id for detector in findings.detectors}:
        return (
            f"{alone} The audit's own finder marks the images that show the artifact "
            "(images.parquet), so that a check of the inputs can flag or refuse them."
        )
    if finding.images:
        return (
            f"{alone} This audit lists the images concerned; which others are, only another audit "
            "tells."
        )
    return f"{alone} Only another audit does."
