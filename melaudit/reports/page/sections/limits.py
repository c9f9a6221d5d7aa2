"""What this audit does not show."""

from __future__ import annotations

from melaudit import wording
from melaudit.findings import Findings, Trust
from melaudit.wording import terms

MAX_NAMED_DETECTORS = 8


def does_not_show(findings: Findings) -> tuple[str, ...]:
    """Return what this audit does not show, and after it what no audit shows."""
    own = []
    if not findings.performance.n:
        own.append(
            "Whether the model is right: the images have no labels, so accuracy, association with "
            "the label and harm could not be measured."
        )
    if not findings.explanations.status.usable:
        own.append("Where the model looks: the relevance maps of this run cannot be used.")
    elif findings.explanations.status is Trust.DEGRADED:
        own.append(
            "Where exactly the model looks: the relevance maps did not pass every check, so their "
            "detail should not be read."
        )
    if findings.skipped:
        skipped = tuple(dict.fromkeys(wording.human(s.detector) for s in findings.skipped))
        names = ", ".join(skipped[:MAX_NAMED_DETECTORS])
        own.append(f"Anything about what could not be tested here: {names}.")
    return (*own, *terms.never_shown(findings.domain.words))
