"""Claims of attention, with and without the relevance on registers of a transformer.

Tokens of unusual norm hold what the model knows of the whole image (see the check
`register_tokens`). Where a map has relevance on them, detectors conclude a second time, on maps
without it. A finding of attention alone that does not hold there is not made, and one that rests on
more than attention says how it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from melaudit.detectors.claim import Claim, Worded
from melaudit.detectors.interface import Result
from melaudit.findings import Evidence, Finding, NotFound, Rung
from melaudit.measurements import WITHOUT_REGISTERS, Array, Measurements

MIN_SHARE = 0.01
"""Mean share of relevance on registers from which claims are made without them as well. Chosen, not
measured: less cannot carry a claim, whose excess is 1.25 times the usual relevance."""

Attention = Mapping[tuple[str, str], bool]
"""(claim, name of its evidence) -> whether it reaches attention."""


def has_registers(measurements: Measurements) -> bool:
    """Whether so much relevance lies on registers that a claim may rest on them."""
    try:
        share = measurements["register_tokens.share"]
    except KeyError:
        return False
    known = share[np.isfinite(share)]
    return len(known) > 0 and float(known.mean(dtype=np.float64)) >= MIN_SHARE


def without_registers(measurements: Measurements) -> Measurements:
    """Return the measurements as they are of maps without relevance on registers.

    What remains of a map counts as the whole of it, as everywhere.
    """
    read = measurements.columns

    def column(name: str) -> Array:
        try:
            return read(f"{WITHOUT_REGISTERS}{name}")
        except KeyError:
            return read(name)

    return dataclasses.replace(measurements, columns=column, without_registers=True)


def attention(results: Sequence[Result], settled: Sequence[Any]) -> Attention:
    """Return which evidence of attention is reached, given the claims' corrected tests."""
    claims = [result for result in results if isinstance(result, Claim)]
    return {
        (claim.id, evidence.name): evidence.reached
        for claim, tested in zip(claims, settled, strict=True)
        for evidence in claim.evidence(tested)
        if evidence.rung is Rung.ATTENTION
    }


def held_both_ways(result: Result, without: Attention) -> Result:
    """Return a claim that says of its attention whether it holds without registers too."""
    if not isinstance(result, Claim):
        return result
    word: Callable[[Any, tuple[Evidence, ...]], Sequence[Worded]] = result.word

    def worded(tested: Any, evidence: tuple[Evidence, ...]) -> Sequence[Worded]:
        return [_told(each, result.id, without) for each in word(tested, evidence)]

    return dataclasses.replace(result, word=worded)


def _told(said: Worded, claim: str, without: Attention) -> Worded:
    """Say of a finding whether its attention holds without registers; refuse it if it does not."""
    if not isinstance(said, Finding):
        return said
    looks = [e for e in said.evidence if e.rung is Rung.ATTENTION and e.reached]
    if not looks:
        return said
    holds = any(without.get((claim, e.name), False) for e in looks)
    if holds:
        sentence = "It looks there without the relevance on tokens of unusual norm too."
        return dataclasses.replace(said, statement=f"{said.statement} {sentence}")
    if said.rung is not Rung.ATTENTION:
        sentence = (
            "That it looks there rests on tokens of unusual norm, which stand for no place; what "
            "was shown by edits does not."
        )
        return dataclasses.replace(said, statement=f"{said.statement} {sentence}")
    return NotFound(
        artifact=said.artifact or said.detector,
        n=max(e.n for e in looks),
        minimum_detectable_effect=None,
        effect="relevance in excess of the usual",
        statement=f"{said.title}: only by the relevance on tokens of unusual norm, which stand "
        "for no place. Without it nothing is clear.",
        p_value=min((e.p_value for e in looks if e.p_value is not None), default=None),
    )
