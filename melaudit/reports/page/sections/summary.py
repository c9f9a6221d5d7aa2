"""The first screen: the verdict as a sentence about the model, and what it rests on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import CheckStatus, Findings, Severity, Trust
from melaudit.reports.ladder import Step, by_severity, carrying, ladder
from melaudit.wording import terms
from melaudit.wording.detectors import passed_checks, title_of

MAX_ROWS = 6
"""Findings that the first screen lists."""

MAX_TITLE = 140
"""Characters of a title; longer ones are cut."""
MAX_LARGE_HEADLINE = 110
"""Characters of a headline in large type; longer ones are set smaller."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'\u201c])")


@dataclass(frozen=True)
class Fact:
    """One figure of the strip under the verdict."""

    label: str
    value: str
    note: str
    kind: str
    """"good", "mixed", "bad" or "plain"."""
    link: str
    """Section that tells more."""


@dataclass(frozen=True)
class Row:
    """One finding as the first screen lists it."""

    number: int
    link: str
    title: str
    severity: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Band:
    """The red band above everything when the maps cannot be used."""

    title: str
    statement: str
    withheld: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """The first screen."""

    kind: str
    """The verdict's id."""
    word: str
    headline: str
    long: bool
    """Whether the headline is so long that it is set smaller."""
    lead: str
    facts: tuple[Fact, ...]
    rows: tuple[Row, ...]
    more: str
    nothing: tuple[str, ...]
    """What would have been seen, when nothing was found."""
    warnings: tuple[str, ...]
    band: Band | None


def summary(findings: Findings) -> Summary:
    """Return the first screen of an audit."""
    headline, lead = _verdict(findings)
    listed = findings.findings[:MAX_ROWS]
    left = len(findings.findings) - len(listed)
    return Summary(
        kind=findings.verdict.value,
        word=terms.VERDICTS[findings.verdict],
        headline=headline,
        long=len(headline) > MAX_LARGE_HEADLINE,
        lead=wording.unbroken(lead),
        facts=(_maps(findings), _found(findings), _read(findings), _accuracy(findings)),
        rows=tuple(
            Row(n, f"finding-{n}", wording.name(f.title, MAX_TITLE), f.severity.value, ladder(f))
            for n, f in enumerate(listed, 1)
        ),
        more=f"{wording.many_unbroken(left, 'more finding')} below" if left else "",
        nothing=()
        if findings.findings
        else tuple(n.statement for n in findings.not_found[:MAX_ROWS]),
        warnings=findings.warnings,
        band=_band(findings),
    )


def withheld(findings: Findings) -> tuple[tuple[str, str], ...]:
    """Return (detector, reason) of what was not concluded because the maps cannot be used."""
    if findings.explanations.status is not Trust.UNUSABLE:
        return ()
    return tuple(
        (title_of(findings, s.detector), s.reason.removeprefix("withheld: "))
        for s in findings.skipped
        if re.search(r"\bunusable\b|\bmaps?\b|\bexplanations?\b", s.reason, re.IGNORECASE)
    )


def _verdict(findings: Findings) -> tuple[str, str]:
    """Return the headline of the verdict and the text under it; neither repeats the other."""
    reason = findings.reason.strip()
    worst = findings.findings[0] if findings.findings else None
    if worst and reason == worst.statement and worst.title:
        return _full_stop(worst.title), reason
    headline, *rest = _SENTENCE_END.split(reason, maxsplit=1)
    if not rest and worst and worst.severity.rank >= Severity.MEDIUM.rank:
        evidence = carrying(worst)
        rest = [evidence.statement] if evidence else []
    return headline, " ".join(rest)


def _full_stop(title: str) -> str:
    return title if title.endswith((".", "!", "?")) else f"{title}."


def _maps(findings: Findings) -> Fact:
    kinds = {Trust.TRUSTED: "good", Trust.DEGRADED: "mixed", Trust.UNUSABLE: "bad"}
    explanations = findings.explanations
    note = passed_checks(explanations.checks) if explanations.checks else "not checked"
    status = explanations.status
    return Fact("Relevance maps", wording.capitalised(status.value), note, kinds[status], "trust")


def _found(findings: Findings) -> Fact:
    total = len(findings.findings)
    more = " more" if total else ""
    tested = f"{len(findings.not_found)}{more} looked for, not found" if findings.not_found else ""
    return Fact(
        "Findings",
        by_severity(findings.findings) if total else "None",
        tested,
        "plain",
        "findings",
    )


def _read(findings: Findings) -> Fact:
    i = findings.inputs
    flagged = sum(i.flagged.values())
    note = wording.not_used(i.lost, i.unseen_folders)
    if flagged:
        note += f", {wording.count(flagged)} flagged"
    return Fact(
        "Images read",
        wording.count(i.read),
        note,
        "mixed" if i.lost or i.unseen_folders else "plain",
        "inputs",
    )


def _accuracy(findings: Findings) -> Fact:
    p = findings.performance
    if not p.n or p.accuracy is None:
        return Fact("Accuracy", "Unknown", "the images have no labels", "plain", "performance")
    span = wording.percent_span(p.accuracy_low, p.accuracy_high, 1)
    note = f"{span}, n{wording.NBSP}=\u00a0{wording.count(p.n)}".lstrip(", ")
    return Fact("Accuracy", wording.rounded_percent(p.accuracy, 1), note, "plain", "performance")


def _band(findings: Findings) -> Band | None:
    if findings.explanations.status is not Trust.UNUSABLE:
        return None
    failed = [c for c in findings.explanations.checks if c.status is CheckStatus.FAIL]
    names = ", ".join(wording.human(c.id) for c in failed) or "no check could be passed"
    held = withheld(findings)
    statement = (
        f"Failed: {names}. No finding on this page rests on a relevance map, and maps are not "
        "shown as explanations. What follows rests on images, labels and changed pictures alone."
    )
    return Band(
        "The relevance maps of this run cannot be used",
        statement,
        tuple(f"{detector}: {reason}" for detector, reason in held),
    )
