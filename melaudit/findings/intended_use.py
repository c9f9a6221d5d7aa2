"""What a model is meant for, by its makers' word, and whether its figures keep to that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """Whether a figure keeps to the limit that was set for it, by its 95 % interval."""

    MET = "met"
    """The whole interval keeps to the limit."""
    NOT_MET = "not met"
    """The whole interval lies beyond it."""
    OPEN = "cannot be told"
    """The limit lies within the interval, or the figure could not be measured."""


@dataclass(frozen=True)
class Acceptance:
    """One figure, held against the limit that was set for it."""

    measure: str
    """"sensitivity", "auc", "recall of melanoma": what was measured."""
    limit: float
    at_least: bool
    """Whether the figure must reach the limit; False where it must not exceed it."""
    value: float | None
    """None where it could not be measured, as its interval then."""
    low: float | None
    high: float | None
    n: int
    """Images that the figure rests on."""
    answer: Answer
    statement: str


@dataclass(frozen=True)
class IntendedUse:
    """What the makers of a model say of its use; the audit repeats it and judges only limits."""

    purpose: str
    population: str
    reference_standard: str
    """How the labels were established: histopathology, three readers, ..."""
    operating_threshold: float | None
    """Probability of the positive class from which the model decides for it; None where unsaid."""
    acceptance: tuple[Acceptance, ...]
