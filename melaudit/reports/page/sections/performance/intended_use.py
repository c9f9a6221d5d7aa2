"""What the model is meant for, and its figures held against the limits set for that."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Acceptance, Answer, Findings
from melaudit.wording.sentences import rest_of

KINDS = {Answer.MET: "pass", Answer.NOT_MET: "fail", Answer.OPEN: "degraded"}
"""How each answer is drawn."""


@dataclass(frozen=True)
class LimitRow:
    """One limit and what became of it."""

    measure: str
    limit: str
    figure: str
    interval: str
    n: str
    kind: str
    word: str
    statement: str


@dataclass(frozen=True)
class UseSection:
    """The intended use."""

    stated: tuple[tuple[str, str], ...]
    """(what, as the makers of the model said it)."""
    limits: tuple[LimitRow, ...]
    summary: str
    """"2 met, 1 cannot be told"; empty without limits."""


def intended_use(findings: Findings) -> UseSection | None:
    """Return the section; None where no intended use was stated."""
    use = findings.intended_use
    if use is None:
        return None
    threshold = use.operating_threshold
    stated = (
        ("Purpose", wording.name(use.purpose, 2000)),
        ("Population", wording.name(use.population, 2000)),
        ("Reference standard", wording.name(use.reference_standard, 2000)),
        ("Operating threshold", "" if threshold is None else wording.figure(threshold)),
    )
    return UseSection(
        stated=tuple((what, said or "not stated") for what, said in stated),
        limits=tuple(_row(limit) for limit in use.acceptance),
        summary=counted(use.acceptance),
    )


def counted(limits: tuple[Acceptance, ...]) -> str:
    """Return how many limits are met, are not met, and cannot be told; empty for none."""
    counts = ((sum(limit.answer is a for limit in limits), a.value) for a in Answer)
    return ", ".join(f"{n:,} {word}" for n, word in counts if n)


def written(value: float | None, measure: str) -> str:
    """Return a figure as the report writes it: shares in percent, areas and errors as they are."""
    if measure in ("auc", "calibration_error"):
        return wording.figure(value)
    return wording.rounded_percent(value, 1)


def _interval(limit: Acceptance) -> str:
    if limit.measure in ("auc", "calibration_error"):
        return wording.span(limit.low, limit.high)
    return wording.percent_span(limit.low, limit.high, 1)


def _row(limit: Acceptance) -> LimitRow:
    least = "at least" if limit.at_least else "at most"
    return LimitRow(
        measure=wording.capitalised(wording.human(limit.measure)).replace("Auc", "AUC"),
        limit=f"{least} {written(limit.limit, limit.measure)}",
        figure=written(limit.value, limit.measure),
        interval="" if limit.value is None else _interval(limit),
        n=wording.count(limit.n),
        kind=KINDS[limit.answer],
        word=limit.answer.value,
        statement=wording.unbroken(wording.visible_as_code_points(rest_of(limit.statement))),
    )
