"""The ladder of evidence: four rungs, each reached, tested and not reached, or not tested."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit.findings import Finding, Rung
from melaudit.wording import terms


@dataclass(frozen=True)
class Step:
    """One rung as drawn."""

    rung: str
    meaning: str
    """The rung in words: "the model looks there"."""
    state: str
    """"reached", "open" or "untested"."""
    word: str


def ladder(finding: Finding) -> tuple[Step, ...]:
    """Return the four rungs of a finding from the lowest to the highest."""
    return tuple(step(finding, rung) for rung in Rung)


def step(finding: Finding, rung: Rung) -> Step:
    """Return one rung of a finding."""
    tested = [e for e in finding.evidence if e.rung is rung]
    if any(e.reached for e in tested):
        state = "reached"
    else:
        state = "open" if tested else "untested"
    return Step(rung.value, terms.RUNGS[rung], state, terms.STATES[state])
