"""Audit an image classifier before deployment: does it decide for the wrong reasons?"""

import melaudit.audit  # noqa: F401 - the folder takes the name first, then the function does
from melaudit.api import audit
from melaudit.errors import MelauditError
from melaudit.findings import Evidence, Finding, Findings, Rung, Severity, Verdict

__all__ = [
    "Evidence",
    "Finding",
    "Findings",
    "MelauditError",
    "Rung",
    "Severity",
    "Verdict",
    "audit",
]
