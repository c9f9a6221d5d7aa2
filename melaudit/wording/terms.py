"""What the words of an audit mean to its reader: verdicts, severities, rungs, outcomes.

The texts are the same for every run and in every output; what a run found comes from its findings.
"""

from __future__ import annotations

from melaudit.findings import CheckStatus, Rung, Severity, Trust, Verdict, Words

RUNGS = {
    Rung.OPPORTUNITY: "the data allow it",
    Rung.ATTENTION: "the model looks there",
    Rung.DEPENDENCE: "the model uses it",
    Rung.HARM: "it costs",
}
"""What it means that a rung was reached."""

STATES = {"reached": "reached", "open": "not reached", "untested": "not tested"}
"""What came of a rung."""

SEVERITIES = {
    Severity.CRITICAL: "Do not deploy: the model uses this and it costs.",
    Severity.HIGH: "Settle this before deployment.",
    Severity.MEDIUM: "Look into it before relying on the model.",
    Severity.LOW: "Good to know. The tests do not show that the model uses it.",
    Severity.INFO: "For the record.",
}
"""What each severity asks of the reader. Which severity a finding gets is decided in one place:
`severity_of` in melaudit/findings/evidence.py."""

SEVERITY_RULE = (
    "Severity follows the highest rung reached",
    "A model that looks at something it does not use is no alarm; one that uses it is.",
)
"""The rule of `severity_of` as the report's section on the method tells it: (step, explanation)."""

VERDICTS = {
    Verdict.PASS: "Pass",
    Verdict.WARN: "Warning",
    Verdict.FAIL: "Fail",
    Verdict.INCONCLUSIVE: "Inconclusive",
}

ABSENCE = {
    "excluded": "excluded",
    "unclear": "could not tell",
    "untested": "not tested",
    "reaction": "the model reacts to it",
}
"""What a test that found nothing allows to say. Only "excluded" means absence."""

LIMITS_MISSED = "The model misses a limit that its intended use sets."
"""How the verdict begins where figures fail the model, and no finding does."""

NO_HARM = "It does not count as harm"
"""How a loss of right decisions that is no harm begins to say why."""

WHAT_TO_DO = {
    Verdict.PASS: "Check that what the audit could not see is small enough for your use.",
    Verdict.FAIL: "Improve the model, or state a use whose limits it keeps to. Then audit again.",
}
"""What to do after a verdict that rests on no finding; one that is inconclusive says it itself."""

OUTCOMES = {
    CheckStatus.PASS: "pass",
    CheckStatus.DEGRADED: "degraded",
    CheckStatus.FAIL: "fail",
}

TRUST = {
    Trust.TRUSTED: "The maps passed every check that could be made; findings may rest on them.",
    Trust.DEGRADED: "Some checks were not fully passed: findings that rest on maps are marked "
    "down, those that rest on changed images are not affected.",
    Trust.NOT_CHECKED: "Too few checks could be made on this model to know whether its maps can be "
    "trusted. Nothing on this page rests on them, and they are not shown as explanations.",
    Trust.UNUSABLE: "The maps failed a check that no map may fail. Nothing on this page rests on "
    "them, and they are not shown as explanations.",
}

VIEWS = {
    "concepts": "its channels",
    "maps": "its maps",
    "both": "channels and maps together",
    "parts": "what its pictures show",
}
"""What the members of a cluster have in common, by the view it was found in."""

COMPONENTS = {
    "border": "more of its relevance lies at the border than in the rest of its class",
    "outside": "more of its relevance lies outside the central half of the picture than in the "
    "rest of its class",
    "exclusive": "its pictures show something away from the centre that images of other "
    "predictions hardly show, and decisions rest on it",
    "artifact": "its images show an artifact, or share a value of the metadata, more often than "
    "the rest of its class",
    "errors": "the model is wrong on it more, or less, often than on the rest of its class",
    "channels": "some channels speak up on it far more than on the rest of its class",
    "alike": "its pictures look more alike than those of the rest of its class",
    "size": "it is a large part of its class",
    "duplicates": "its pictures come several times",
}
"""The components of a cluster's suspicion (`Cluster.parts`), in words."""


def never_shown(words: Words) -> tuple[str, ...]:
    """Return what no audit of this kind shows."""
    return (
        "That the model is right for the right reasons. An audit finds certain wrong reasons; "
        "the absence of a finding is no proof of sound reasoning.",
        "Anything about shortcuts that were not looked for, or whose effect is smaller than the "
        "figures given under \u201cWhat would have been seen\u201d.",
        f"Anything about images unlike these: {words.unlike}.",
        "That a cause lies in the world. \u201cThe model uses it\u201d means that changing the "
        "artifact in the picture changes the output of this model, no more.",
        "What a place marked on a map means. A map says where the relevance lies, not what the "
        "model sees there.",
    )
