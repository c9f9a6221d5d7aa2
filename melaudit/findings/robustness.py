"""How decisions hold when pictures lose quality."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit.findings.performance import Figure


@dataclass(frozen=True)
class CorruptionStep:
    """What becomes of decisions at one strength."""

    severity: int
    """1 to 5; 0 is the picture as it is."""
    strength: float
    """In the unit of its `Corruption`; 0 at severity 0."""
    changed: Figure
    """Share of decisions that differ from those on the pictures as they are."""
    accuracy: Figure | None
    """None where no image has a label."""


@dataclass(frozen=True)
class Corruption:
    """What becomes of decisions as one kind of quality is lost, step by step."""

    id: str
    title: str
    unit: str
    """What a strength counts."""
    n: int
    """Images that it was tried on."""
    labelled: int
    steps: tuple[CorruptionStep, ...]
    """The picture as it is first."""
