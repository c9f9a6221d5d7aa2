"""Run every artifact finder, and plain rules by name, on image files.

The worker processes of a scan run this module, so it imports nothing that is slow to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2

from melaudit.artifacts.held import find
from melaudit.artifacts.interface import RGB, Artifact, HasPlainRule
from melaudit.artifacts.picture import copies_kept
from melaudit.artifacts.registry import OURS, artifacts
from melaudit.domains.registry import domain
from melaudit.images.imagefile import FULL_WHITE, read_image, shrink
from melaudit.images.worker_pool import Announce, Lost

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


@dataclass(frozen=True)
class Scoring:
    """Runs every artifact finder of a domain, then rules, on image files: work for processes."""

    rules: tuple[str, ...]
    """Their names."""
    field: str
    """The id of the domain."""
    white: int = FULL_WHITE
    """What is white in 16-bit grey images."""

    def prepare(self) -> None:
        """Leave the other cores to the other processes."""
        cv2.setNumThreads(1)

    def __call__(
        self, job: Sequence[str], lost: Lost, announce: Announce
    ) -> tuple[ImageScores, ...]:
        """Return what is said of each file; a file that is lost is skipped for that reason."""
        sought = artifacts(domain(self.field).artifacts)
        scored = []
        for number, path in enumerate(job):
            announce(number)
            gone = lost.get(number)
            said = (
                _score_file(path, self.rules, sought, self.white) if gone is None else skipped(gone)
            )
            scored.append(said)
        return tuple(scored)


def skipped(reason: str) -> ImageScores:
    """Return what is said of a file that cannot be read."""
    return ImageScores(reason, (), (), ())


def _score_file(
    path: str, rules: Sequence[str], sought: Sequence[Artifact], white: int
) -> ImageScores:
    decoded = read_image(path, white=white)
    if decoded.image is None:
        return skipped(decoded.reasons[0])
    image = shrink(decoded.image)
    scores, present, failures = [], [], []
    with copies_kept([image]):
        for artifact in sought:
            try:
                found = find(artifact, image)
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
