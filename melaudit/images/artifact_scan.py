"""Run every artifact finder, and plain rules by name, on image files.

The worker processes of a scan run this module, so it imports nothing that is slow to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from melaudit.artifacts.interface import RGB, Artifact, HasPlainRule
from melaudit.artifacts.registry import OURS, artifacts
from melaudit.domains.registry import domain
from melaudit.images.imagefile import FULL_WHITE, read_image, shrink

RULES: Mapping[str, tuple[str, Callable[[RGB], bool]]] = {
    artifact.rule_id: (artifact.rule_definition, artifact.rule)
    for artifact in OURS
    if isinstance(artifact, HasPlainRule)
}
"""Name of a plain rule -> its definition, and the rule."""


@dataclass(frozen=True)
class ImageScores:
    """What the finders and the rules say of one image file."""

    skipped: str
    """Why the file could not be read; empty if it could."""
    scores: tuple[float, ...]
    """One per artifact, then one per rule; NaN where the finder failed."""
    present: tuple[bool, ...]
    failures: tuple[str, ...]
    """The error of each finder and rule; empty where there was none."""


def score_files(
    paths: Sequence[str], rules: Sequence[str], field: str, white: int = FULL_WHITE
) -> list[ImageScores]:
    """Run every artifact finder of the domain `field`, then the named rules, on image files.

    `white` is what is white in 16-bit grey images.
    """
    sought = artifacts(domain(field).artifacts)
    return [_score_file(path, rules, sought, white) for path in paths]


def _score_file(
    path: str, rules: Sequence[str], sought: Sequence[Artifact], white: int
) -> ImageScores:
    decoded = read_image(path, white=white)
    if decoded.image is None:
        return ImageScores(decoded.reasons[0], (), (), ())
    image = shrink(decoded.image)
    scores, present, failures = [], [], []
    for artifact in sought:
        try:
            found = artifact.find(image)
            score, there, failure = found.score, found.present, ""
        except Exception as error:  # third-party finders can raise anything; the scan goes on
            score, there, failure = float("nan"), False, f"{type(error).__name__}: {error}"
        scores.append(score)
        present.append(there)
        failures.append(failure)
    for rule in rules:
        there = RULES[rule][1](decoded.image)
        scores.append(float(there))
        present.append(there)
        failures.append("")
    return ImageScores("", tuple(scores), tuple(present), tuple(failures))
