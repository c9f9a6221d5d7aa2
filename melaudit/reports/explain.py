"""The method in plain words: what each check asks, what each rung means, what the terms mean.

Everything here is the same for every run; what a run found comes from its findings.
"""

from __future__ import annotations

from dataclasses import dataclass

from melaudit.findings import CheckStatus, Rung, Severity, Trust, Verdict


@dataclass(frozen=True)
class Question:
    """What a check of the explanations asks, and why its limit is where it is."""

    asks: str
    why: str


CHECKS = {
    "conservation": Question(
        "Does the relevance that reaches the picture add up to the model's output?",
        "A sum that is far off means that relevance was made up or lost on the way; "
        "each residual block counted twice doubles it.",
    ),
    "channel_uniformity": Question(
        "Does each channel's map show its own channel?",
        "A channel's map must hold that channel's share and no more. When relevance leaks round "
        "the channel through a skip connection, every map holds nearly everything, and all of "
        "them are one and the same picture.",
    ),
    "class_sensitivity": Question(
        "Does the map change when another class is explained?",
        "A map that looks the same for every class shows edges of the picture, not reasons.",
    ),
    "randomisation": Question(
        "Does the map change when the model's weights are shuffled?",
        "A map that survives this does not depend on what the model has learned.",
    ),
    "faithfulness": Question(
        "Does the output fall when what the map marks is taken away?",
        "If covering the marked places changes the output no more than covering random ones, "
        "the map does not mark what the model uses.",
    ),
    "output_equivalence": Question(
        "Are the explained model's outputs those of the model itself?",
        "Explaining may not alter the model; beyond rounding, nothing may differ.",
    ),
    "engine_agreement": Question(
        "Do two engines that share no code draw the same map?",
        "Where both conserve relevance they must. Which of two different maps is wrong this check "
        "cannot tell, so it marks down and never rejects.",
    ),
}
"""By check id; checks of other detectors are shown with their own statement."""

ARTIFACTS = (
    "dark_ring", "vignette", "ruler", "ink", "colour_patch", "hair", "gel_bubble", "text",
    "white_frame", "colour_cast", "brightness", "blur", "jpeg_quality", "picture_size",
)  # fmt: skip
"""What may be in a picture and is not the lesion: the names that detectors of artifacts have."""

NO_ARTIFACTS = frozenset(
    {
        *("border_relevance", "fixed_position", "outside_lesion", "metadata"),
        *("property_label", "near_duplicates"),
    }
)
"""Detectors that look for something else; what they did not find is no row among artifacts."""

VIEWS = {
    "concepts": "its channels",
    "maps": "its maps",
    "both": "channels and maps together",
    "parts": "what its pictures show",
}
"""By what a cluster was seen."""

RUNGS = {
    Rung.OPPORTUNITY: "the data allow it",
    Rung.ATTENTION: "the model looks there",
    Rung.DEPENDENCE: "the model uses it",
    Rung.HARM: "it costs",
}

STATES = {"reached": "reached", "open": "not reached", "untested": "not tested"}

SEVERITIES = {
    Severity.CRITICAL: "Do not deploy: the model uses this and it costs.",
    Severity.HIGH: "Settle this before deployment.",
    Severity.MEDIUM: "Look into it before relying on the model.",
    Severity.LOW: "Know about it: an opportunity, no more was shown.",
    Severity.INFO: "For the record.",
}

VERDICTS = {
    Verdict.PASS: "Pass",
    Verdict.WARN: "Warning",
    Verdict.FAIL: "Fail",
    Verdict.INCONCLUSIVE: "Inconclusive",
}

OUTCOMES = {
    CheckStatus.PASS: "pass",
    CheckStatus.DEGRADED: "degraded",
    CheckStatus.FAIL: "fail",
}

TRUST = {
    Trust.TRUSTED: "The maps passed every check that could be made; findings may rest on them.",
    Trust.DEGRADED: "Some checks were not fully passed: findings that rest on maps are marked "
    "down, those that rest on changed images are not affected.",
    Trust.UNUSABLE: "The maps failed a check that no map may fail. Nothing on this page rests on "
    "them, and they are not shown as explanations.",
}

PARTS = {
    "border": "more of its relevance lies at the border than in the rest of its class",
    "outside": "more of its relevance lies outside the central half of the picture than in the "
    "rest of its class",
    "exclusive": "its pictures show something away from the centre that images called otherwise "
    "hardly show, and decisions rest on it",
    "artifact": "its images show an artifact, or share a value of the metadata, more often than "
    "the rest of its class",
    "errors": "the model is wrong on it more, or less, often than on the rest of its class",
    "channels": "some channels speak up on it far more than on the rest of its class",
    "alike": "its pictures look more alike than those of the rest of its class",
    "size": "it is a large part of its class",
    "duplicates": "its pictures come several times",
}
"""Named parts of a cluster's suspicion, in words."""

ALWAYS = (
    "That the model is right for the right reasons. An audit finds certain wrong reasons; "
    "the absence of a finding is no proof of sound reasoning.",
    "Anything about shortcuts that were not looked for, or whose effect is smaller than the "
    "figures given under \u201cWhat would have been seen\u201d.",
    "Anything about images unlike these: another clinic, camera, skin type or year.",
    "That a cause lies in the world. \u201cThe model uses it\u201d means that changing the "
    "artifact in the picture changes the output of this model, no more.",
    "What a place marked on a map means. A map says where the relevance lies, not what the model "
    "sees there.",
)
"""What no audit of this kind shows."""

GLOSSARY = (
    (
        "Artifact",
        "Something in the picture that is not the lesion: a ring, a ruler, ink, hair, a bubble.",
    ),
    (
        "Shortcut",
        "A feature that goes with the label in these data but not for a medical reason, and by "
        "which the model decides.",
    ),
    (
        "Rung",
        "A step of the ladder of evidence: opportunity (the data allow it), attention (the model "
        "looks there), dependence (the model uses it), harm (it costs). A claim is worded by the "
        "highest rung that was reached.",
    ),
    (
        "Placebo",
        "A change to the picture of the same size and place but without the artifact's look. An "
        "effect counts only as far as it exceeds the placebo's.",
    ),
    (
        "Relevance",
        "The share of the model's output that is put down to a place in the picture. Positive "
        "relevance speaks for the explained class, negative against it.",
    ),
    (
        "LRP",
        "Layer-wise relevance propagation: the output is handed back layer by layer, in "
        "proportion to what each unit contributed, until it reaches the pixels.",
    ),
    (
        "Concept, channel",
        "A channel is one of the model's internal pictures. What makes it respond is called its "
        "concept; channels of a late layer answer to ring, pigment, skin and the like.",
    ),
    (
        "CRP",
        "Concept relevance propagation: LRP that follows one channel at a time, so that a map "
        "shows where that channel's contribution comes from.",
    ),
    (
        "Grad-CAM",
        "An older method: the maps of a late layer, weighted by how much each raises the output. "
        "Coarse, and shows only what speaks for the class; a second opinion.",
    ),
    (
        "Agreement",
        "Rank correlation of two maps, each reduced to what speaks for the class and averaged on "
        "the coarser one's grid: 1 alike, 0 unrelated.",
    ),
    (
        "Conservation",
        "What is handed back must add up to the output: nothing gained, nothing lost beyond what "
        "biases are known to absorb.",
    ),
    (
        "95 % interval",
        "Values that agree with the data; a method that gives such intervals misses the truth in "
        "one of twenty cases.",
    ),
    (
        "p, q",
        "p: how often chance alone would give a result at least this strong. q: p after allowing "
        "for everything that this run tested; among results with q below 0.05, about one in twenty "
        "is expected to be false.",
    ),
    (
        "Odds ratio",
        "How many times higher the odds of the label are with the artifact than without; "
        "1 means no association.",
    ),
    (
        "Minimum detectable effect",
        "The smallest effect that this many images would have shown. Smaller ones may exist.",
    ),
    (
        "Suspicion",
        "Sum of named parts, 1 at most, that says how much a cluster looks like a shortcut; a "
        "reason to look, not a finding.",
    ),
    (
        "Recall, precision",
        "Recall: of the images of a class, the share the model calls so (for malignant: "
        "sensitivity). Precision: of the images it calls so, the share that are.",
    ),
    (
        "AUC",
        "The chance that a random positive image gets a higher score than a random negative one; "
        "0.5 is guessing.",
    ),
)
