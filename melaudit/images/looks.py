"""What is seen in image files: every artifact, and plain rules by name.

This is what the worker processes of a scan run, so it imports nothing that is slow to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts import artifacts, seed_rule
from melaudit.images.imagefile import read_image, shrink

RULES: Mapping[str, tuple[str, Callable[[NDArray[np.uint8]], bool]]] = {
    "corners": ("All four 10 x 10 corner blocks below 10", seed_rule),
}
"""Plain rules by name: what they say in words, and the rule."""


@dataclass(frozen=True)
class Look:
    """What was seen in one image."""

    skipped: str
    """Why it could not be read; empty when it could."""
    scores: tuple[float, ...]
    """One per artifact and rule; NaN where the finder failed."""
    present: tuple[bool, ...]
    failures: tuple[str, ...]
    """What the finder failed with, one per artifact and rule; empty where it did not."""


def look(paths: Sequence[str], rules: Sequence[str]) -> list[Look]:
    """Look for every artifact, then every rule, in image files."""
    return [_look(path, rules) for path in paths]


def _look(path: str, rules: Sequence[str]) -> Look:
    decoded = read_image(path)
    if decoded.image is None:
        return Look(decoded.reasons[0], (), (), ())
    image = shrink(decoded.image)
    scores, present, failures = [], [], []
    for artifact in artifacts():
        try:
            found = artifact.find(image)
            score, there, failure = found.score, found.present, ""
        except Exception as error:  # an artifact may be anybody's: the scan goes on without it
            score, there, failure = float("nan"), False, f"{type(error).__name__}: {error}"
        scores.append(score)
        present.append(there)
        failures.append(failure)
    for rule in rules:
        there = RULES[rule][1](decoded.image)
        scores.append(float(there))
        present.append(there)
        failures.append("")
    return Look("", tuple(scores), tuple(present), tuple(failures))
