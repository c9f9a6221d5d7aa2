"""Audit an image classifier before deployment: does it decide for the wrong reasons?"""

import melaudit.audit  # noqa: F401 - the folder takes the name first, then the function does
from melaudit.api import audit, audit_labels, load
from melaudit.errors import MelauditError
from melaudit.findings import Evidence, Finding, Findings, Rung, Severity, Verdict
from melaudit.result import Audit

__all__ = [
    "Audit",
    "Evidence",
    "Finding",
    "Findings",
    "MelauditError",
    "Rung",
    "Severity",
    "Verdict",
    "audit",
    "audit_labels",
    "load",
]
