"""A claim: what a detector tested, before the tests are corrected and before it is put into words.

A detector returns claims. `audit/conclude/conclusions.py` corrects the tests of all claims
together, and only then asks each claim for its evidence and its wording.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from melaudit.detectors.confidence import confidence
from melaudit.findings import (
    Counts,
    Drift,
    Evidence,
    Finding,
    Mitigation,
    NotFound,
    Reaction,
    Rung,
    SkinTone,
    Table,
    Trust,
    severity_of,
)
from melaudit.statistics.estimates import Estimate, Tested

T = TypeVar("T")

Worded = Drift | Finding | NotFound | Reaction | SkinTone


@dataclass(frozen=True)
class Claim(Generic[T]):
    """What a detector tested, and how it is said once the tests are corrected."""

    id: str
    """Of the finding that it may become."""
    tested: T
    """A `Tested`, or a frozen dataclass that holds some: see `correction.settle`."""
    evidence: Callable[[T], Sequence[Evidence]]
    """Gives the evidence from `tested` with its q-values, whether a rung is reached or not."""
    word: Callable[[T, tuple[Evidence, ...]], Sequence[Worded]]
    """Gives findings, or what was not found, from the same and that evidence."""
    detector: str = ""
    """Id of the detector that made it; `conclude` notes it."""


def evidence_of(
    rung: Rung,
    name: str,
    figure: Estimate,
    n: int,
    null: str,
    statement: str,
    *,
    reached: bool = False,
    counts: Counts | None = None,
) -> Evidence:
    """Return a figure as evidence; p and q are those of its test, None for one that is not tested.

    `reached` says that it carries its rung: the effect is large enough, and the test clear.
    """
    return Evidence(
        rung=rung,
        name=name,
        estimate=figure.value,
        ci_low=figure.low,
        ci_high=figure.high,
        p_value=figure.p_value if isinstance(figure, Tested) else None,
        q_value=figure.q_value if isinstance(figure, Tested) else None,
        n=n,
        null=null,
        reached=reached,
        statement=statement,
        counts=counts,
    )


def reached(evidence: Sequence[Evidence]) -> frozenset[Rung]:
    """Return the rungs that some evidence carries."""
    return frozenset(e.rung for e in evidence if e.reached)


def finding(
    evidence: Sequence[Evidence],
    trust: Trust,
    *,
    id: str,
    detector: str,
    title: str,
    statement: str,
    images: tuple[str, ...],
    remedy: str,
    does_not_show: str,
    artifact: str | None = None,
    classes: tuple[str, ...] = (),
    tables: tuple[Table, ...] = (),
    rewarded: Collection[Rung] | None = None,
    mitigation: Mitigation | None = None,
    sure: float | None = None,
) -> Finding:
    """Build a finding whose rung, severity and confidence follow from evidence with q-values.

    `rewarded` are the rungs that count for the severity where not all that were reached do;
    `mitigation` is why it counts for less. `sure` is the confidence where figures were counted, not
    tested. Everything else as in `Finding`.
    Raises ValueError when no rung is reached: then there is nothing to claim.
    """
    rungs = reached(evidence)
    if not rungs:
        raise ValueError(f"no evidence carries the finding {id!r}")
    counting = rungs if rewarded is None else rewarded
    return Finding(
        id=id,
        detector=detector,
        title=title,
        severity=severity_of(counting, {e.rung for e in evidence}, mitigation),
        confidence=confidence(evidence, trust) if sure is None else sure,
        rung=max(rungs, key=lambda rung: rung.rank),
        artifact=artifact,
        classes=classes,
        statement=statement,
        evidence=tuple(evidence),
        images=images,
        remedy=remedy,
        does_not_show=does_not_show,
        tables=tables,
    )


def counted(found: Finding) -> Claim[Finding]:
    """Return the claim of a finding that rests on counts alone, so that nothing is to correct.

    Raises ValueError for evidence with a p-value: that must be corrected first.
    """
    if any(e.p_value is not None for e in found.evidence):
        raise ValueError(f"{found.id} has evidence that was tested; return it as a Claim")
    return Claim(found.id, found, evidence=lambda f: f.evidence, word=lambda f, _: [f])
