"""Whether the other audit looked for what one of two audits has found."""

from __future__ import annotations

from melaudit.findings import Finding, Findings, NotFound

LEFT_OUT = "its detector was left out, or is unknown there"


def left_out(finding: Finding, found: Findings, other: Findings) -> bool:
    """Tell whether an audit did not ask the detector by which another has a finding.

    Audits list their detectors; findings of other sources, and audits without a list, tell nothing.
    What an audit discovered has a number of that audit alone.
    """
    listed, asked = ({d.id for d in f.detectors} for f in (found, other))
    detector = finding.detector.partition(".")[0]
    return bool(asked) and not finding.discovered and detector in listed - asked


def not_found_by(finding: Finding, other: Findings) -> list[NotFound]:
    """Return where the other audit looked for the same and did not find it, low rungs first."""
    for name in (finding.detector, finding.artifact):
        found = [n for n in other.not_found if n.artifact == name]
        if found:
            return found
    return []
