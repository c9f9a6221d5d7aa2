"""The first screen: the verdict as a sentence about the model, and what it rests on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import CheckStatus, Finding, Findings, Trust, Verdict
from melaudit.reports import ladder
from melaudit.reports.interface import Record
from melaudit.reports.ladder import Step, by_severity
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.finding_cards import of_the_model
from melaudit.reports.page.sections.performance.intended_use import counted
from melaudit.reports.page.sections.pictures import EditView, pair
from melaudit.wording import terms
from melaudit.wording.detectors import passed_checks, title_of
from melaudit.wording.sentences import first_sentence, rest_of

MAX_ROWS = 6
"""Findings that the first screen lists."""

MAX_CLASSES = 4
"""Classes that the first screen names."""

MAX_TITLE = 140
"""Characters of a title; longer ones are cut."""
MAX_LARGE_HEADLINE = 110
"""Characters of a headline in large type; longer ones are set smaller."""


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
    """What the model does, in counts that anyone can picture."""
    pair: EditView | None
    """An image as it is and changed, which shows it."""
    answers: tuple[tuple[str, str], ...]
    """(question, answer): what to do now, how sure this is, what was audited."""
    facts: tuple[Fact, ...]
    rows: tuple[Row, ...]
    more: str
    in_data: str
    """How much stands in the table of what the data allow, in words."""
    nothing: tuple[str, ...]
    """What would have been seen, when nothing was found."""
    warnings: tuple[str, ...]
    band: Band | None


def summary(record: Record, plates: Plates, anchors: Mapping[str, str]) -> Summary:
    """Return the first screen of an audit; `anchors` are where findings stand, by their id."""
    findings = record.findings
    headline, lead = _verdict(findings)
    worst = _claimed(findings)
    of_model = of_the_model(findings.findings)
    left = len(of_model) - MAX_ROWS
    in_data = len(findings.findings) - len(of_model)
    return Summary(
        kind=findings.verdict.value,
        word=terms.VERDICTS[findings.verdict],
        headline=headline,
        long=len(headline) > MAX_LARGE_HEADLINE,
        lead=wording.unbroken(lead),
        pair=pair(worst, record.edits, plates) if worst else None,
        answers=_answers(findings, worst),
        facts=(_maps(findings), _found(findings), _read(findings), _accuracy(findings)),
        rows=tuple(
            Row(
                n,
                anchors.get(f.id, "findings"),
                wording.name(f.title, MAX_TITLE),
                f.severity.value,
                ladder.ladder(f),
            )
            for n, f in enumerate(of_model[:MAX_ROWS], 1)
        ),
        more=f"{wording.many_unbroken(left, 'more finding')} below" if left > 0 else "",
        in_data=f"{wording.many_unbroken(in_data, 'thing')} in the data that the model was not "
        "seen to follow"
        if in_data
        else "",
        nothing=()
        if findings.findings
        else tuple(n.statement for n in findings.not_found[:MAX_ROWS]),
        warnings=findings.warnings,
        band=_band(findings),
    )


def withheld(findings: Findings) -> tuple[tuple[str, str], ...]:
    """Return (detector, reason) of what was not concluded because the maps cannot be used."""
    if findings.explanations.status.usable:
        return ()
    return tuple(
        (title_of(findings, s.detector), s.reason.removeprefix("withheld: "))
        for s in findings.skipped
        if re.search(r"\bunusable\b|\bmaps?\b|\bexplanations?\b", s.reason, re.IGNORECASE)
    )


def _claimed(findings: Findings) -> Finding | None:
    """Return the finding that the verdict is about; None where it is about none."""
    if findings.verdict not in (Verdict.FAIL, Verdict.WARN) or not findings.findings:
        return None
    if findings.reason.startswith(terms.LIMITS_MISSED):
        return None
    return findings.findings[0]


def _verdict(findings: Findings) -> tuple[str, str]:
    """Return the headline of the verdict and the sentence under it; neither repeats the other.

    The sentence gives counts of predictions where the finding has them. Else it is what the reason
    says beyond its first sentence, or the first sentence of the claim.
    """
    reason = findings.reason.strip()
    worst = _claimed(findings)
    headline, rest = first_sentence(reason), rest_of(reason)
    if worst is None:
        # What would settle it has a line of its own.
        for settle in (s.settle for s in findings.shortfalls if s.settle):
            rest = rest.replace(settle, "")
        return headline, " ".join(rest.split())
    if reason == worst.statement and worst.title:
        headline, rest = _full_stop(worst.title), first_sentence(reason)
    counts = ladder.counts(worst)
    if counts is not None:
        return headline, wording.frequencies(counts)
    return headline, rest or first_sentence(worst.statement)


def _answers(findings: Findings, worst: Finding | None) -> tuple[tuple[str, str], ...]:
    """Return what to do now, how sure this is, and what was audited."""
    usual = terms.WHAT_TO_DO.get(findings.verdict, "") or _settle(findings)
    todo = worst.remedy if worst else usual
    said = (
        ("What to do now", todo),
        ("How sure", _sure(findings, worst)),
        ("Limits of its use", _limits(findings)),
        ("What was audited", _audited(findings)),
    )
    return tuple((question, wording.unbroken(answer)) for question, answer in said if answer)


def _settle(findings: Findings) -> str:
    """Return what would settle the points that leave an audit open."""
    if findings.verdict is not Verdict.INCONCLUSIVE:
        return ""
    return " ".join(dict.fromkeys(s.settle for s in findings.shortfalls if s.settle))


def _sure(findings: Findings, worst: Finding | None) -> str:
    """Say what speaks for the verdict: the finding's confidence, and the audit's own controls."""
    said = []
    if worst is not None:
        said.append(f"Confidence in this finding: {wording.rounded_percent(worst.confidence)}.")
    if findings.controls:
        passed = sum(c.passed for c in findings.controls)
        tests = wording.many_unbroken(len(findings.controls), "test")
        said.append(f"The audit passed {passed} of {tests} of itself.")
    return " ".join(said)


def _limits(findings: Findings) -> str:
    """Say how many limits of the intended use are met."""
    use = findings.intended_use
    return f"{counted(use.acceptance)}." if use is not None and use.acceptance else ""


def _audited(findings: Findings) -> str:
    made = findings.provenance
    classes = ", ".join(wording.name(c, 24) for c in made.classes[:MAX_CLASSES])
    more = len(made.classes) - MAX_CLASSES
    if more > 0:
        classes += f" and {more:,} more"
    images = wording.many_unbroken(findings.inputs.read, "image")
    return f"{wording.name(made.model, 48)} on {images}. Classes: {classes}."


def _full_stop(title: str) -> str:
    return title if title.endswith((".", "!", "?")) else f"{title}."


def _maps(findings: Findings) -> Fact:
    kinds = {Trust.TRUSTED: "good", Trust.DEGRADED: "mixed"}
    explanations = findings.explanations
    note = passed_checks(explanations.checks) if explanations.checks else "not checked"
    status = explanations.status
    return Fact(
        "Relevance maps", wording.capitalised(status.value), note, kinds.get(status, "bad"), "trust"
    )


def _found(findings: Findings) -> Fact:
    of_model = of_the_model(findings.findings)
    in_data, missed = len(findings.findings) - len(of_model), len(findings.not_found)
    note = [f"{in_data:,} more in the data alone"] if in_data else []
    if missed:
        note.append(f"{wording.many_unbroken(missed, 'test')} found nothing")
    value = by_severity(of_model) if of_model else "None"
    return Fact("Findings", value, ", ".join(note), "plain", "findings")


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
    if findings.explanations.status.usable:
        return None
    failed = [c for c in findings.explanations.checks if c.status is CheckStatus.FAIL]
    names = ", ".join(wording.human(c.id) for c in failed)
    failed_checks = f"Failed: {names}." if names else "Too few of the checks could be made."
    held = withheld(findings)
    statement = (
        f"{failed_checks} No finding on this page rests on a relevance map, and maps are not "
        "shown as explanations. What follows rests on images, labels and changed pictures alone."
    )
    return Band(
        "The relevance maps of this run cannot be used",
        statement,
        tuple(f"{detector}: {reason}" for detector, reason in held),
    )
