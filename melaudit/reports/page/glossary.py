"""The glossary of the report: the same for every run, but for examples that its domain gives."""

from __future__ import annotations

import dataclasses
import re

from melaudit.findings import Words

GLOSSARY = (
    (
        "Artifact",
        "Something in the picture that is not what the model should look at: {artifacts}.",
    ),
    (
        "Shortcut",
        "A feature that goes with the label in these data but not {reason}, and by which the model "
        "decides.",
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
        "A channel is one of the model's internal pictures. What makes it respond is its "
        "concept; channels of a late layer answer to {concepts} and the like.",
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
        "Recall: of the images of a class, the share that the model predicts as the class (of the "
        "class that matters: sensitivity). Precision: of the images predicted as it, the share "
        "that are.",
    ),
    (
        "AUC",
        "The chance that a random positive image gets a higher score than a random negative one; "
        "0.5 is guessing.",
    ),
    (
        "Calibration",
        "Whether probabilities are what they say: of the images given 80 %, 80 in 100 are right. "
        "The calibration error is how far they are off on average.",
    ),
    (
        "Brier score",
        "The mean squared distance of the probability from what was true (1 or 0): 0 is perfect.",
    ),
    (
        "ROC curve",
        "Sensitivity against the share of other images that are wrongly predicted as the class, "
        "for every threshold. The operating point is where the model decides.",
    ),
)
"""(term, explanation), with names of `Words` in braces."""


def anchor(term: str) -> str:
    """Return where a term stands on the page: "word-odds-ratio"."""
    return "word-" + "-".join(re.findall("[a-z0-9]+", term.lower()))


def entries(words: Words) -> tuple[tuple[str, str, str], ...]:
    """Return (term, explanation, anchor) of every word."""
    examples = dataclasses.asdict(words)
    return tuple((term, said.format(**examples), anchor(term)) for term, said in GLOSSARY)
