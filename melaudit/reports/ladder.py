"""The ladder of evidence: four rungs, each reached, tested and not reached, or not tested.

Also the piece of evidence that carries a finding, and how many findings there are of each severity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from melaudit.findings import Counts, Evidence, Finding, Rung
from melaudit.wording import NBSP, terms


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


def carrying(finding: Finding) -> Evidence | None:
    """Return the first piece of evidence that reached the finding's rung; None without one."""
    return next((e for e in finding.evidence if e.rung is finding.rung and e.reached), None)


def counts(finding: Finding) -> Counts | None:
    """Return the counts that show a finding best: from what was reached, the largest change."""
    known = [e for e in finding.evidence if e.reached and e.counts is not None and e.counts.n]
    best = max(known, key=_shown_by, default=None)
    return None if best is None else best.counts


def _shown_by(evidence: Evidence) -> tuple[float, int]:
    """Return by how much of the images predictions change; of equals the higher rung."""
    c = evidence.counts
    assert c is not None
    return abs(c.after - c.before) / c.n, evidence.rung.rank


def by_severity(findings: Sequence[Finding]) -> str:
    """Return "1 critical \u00b7 3 info", the worst first; "none" when there is none."""
    counts = Counter(f.severity for f in findings)
    worst_first = sorted(counts, key=lambda s: -s.rank)
    return " \u00b7 ".join(f"{counts[s]}{NBSP}{s.value}" for s in worst_first) or "none"
