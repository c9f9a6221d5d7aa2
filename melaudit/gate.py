"""The gate: an audit held against a policy, rule by rule.

Each rule passes, fails or cannot be decided, and says why. An audit that is itself inconclusive
decides nothing, so the gate is inconclusive then, whatever the findings; otherwise one failed rule
fails it. Findings that a waiver covers, or that a baseline had already, do not count.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from melaudit.findings import Finding, Findings, Trust, Verdict
from melaudit.policy import Policy, Waiver, matches
from melaudit.wording.detectors import belongs


class Outcome(StrEnum):
    """What became of a rule, or of the gate."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Rule:
    """One thing the policy asks, and what became of it."""

    id: str
    """Stable: "severity", "coverage.min_images", "waiver:dark_ring*"."""
    title: str
    outcome: Outcome
    statement: str
    findings: tuple[str, ...] = ()
    """Ids of the findings that failed it."""


@dataclass(frozen=True)
class GateResult:
    """An audit held against a policy."""

    outcome: Outcome
    rules: tuple[Rule, ...]
    waived: tuple[tuple[str, Waiver], ...]
    """Finding id -> the waiver that covers it."""
    known: tuple[str, ...]
    """Ids of findings that the baseline had, no less severe; empty without a baseline."""
    has_baseline: bool
    notes: tuple[str, ...]
    """For whoever keeps the policy: waivers that expire soon or cover nothing."""


def judge(
    findings: Findings,
    policy: Policy,
    *,
    today: datetime.date,
    baseline: Findings | None = None,
) -> GateResult:
    """Hold an audit against a policy; with a baseline, only what is new or worse counts."""
    waived = tuple(_waived(findings.findings, policy.waivers, today))
    known = tuple(_known(findings.findings, baseline))
    excused = {identity for identity, _ in waived} | set(known)
    counted = [f for f in findings.findings if f.id not in excused]
    rules = (
        _concluded(findings),
        *_finding_rules(counted, policy, findings),
        *_coverage_rules(findings, policy),
        *_performance_rules(findings, policy),
        *_waiver_rules(policy.waivers, today),
    )
    return GateResult(
        outcome=_outcome(rules),
        rules=rules,
        waived=waived,
        known=known,
        has_baseline=baseline is not None,
        notes=tuple(_notes(findings, policy, today)),
    )


def _outcome(rules: Sequence[Rule]) -> Outcome:
    if rules[0].outcome is not Outcome.PASS:  # the audit itself decided nothing
        return rules[0].outcome
    outcomes = {rule.outcome for rule in rules}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE if Outcome.INCONCLUSIVE in outcomes else Outcome.PASS


def _waived(
    findings: Sequence[Finding], waivers: Sequence[Waiver], today: datetime.date
) -> Iterator[tuple[str, Waiver]]:
    for finding in findings:
        for waiver in waivers:
            if waiver.covers(finding.id) and not waiver.expired(today):
                yield finding.id, waiver
                break


def _known(findings: Sequence[Finding], baseline: Findings | None) -> Iterator[str]:
    severities = {} if baseline is None else {f.id: f.severity.rank for f in baseline.findings}
    for finding in findings:
        if severities.get(finding.id, -1) >= finding.severity.rank:
            yield finding.id


def _concluded(findings: Findings) -> Rule:
    decided = findings.verdict is not Verdict.INCONCLUSIVE
    return Rule(
        "audit",
        "The audit could conclude",
        Outcome.PASS if decided else Outcome.INCONCLUSIVE,
        f"The audit's verdict is {findings.verdict.value}." if decided else findings.reason,
    )


def _finding_rules(
    counted: Sequence[Finding], policy: Policy, findings: Findings
) -> Iterator[Rule]:
    total = len(findings.findings)
    if policy.fail_on is not None:
        level = policy.fail_on
        over = [f for f in counted if f.severity.rank >= level.rank]
        yield _none_of(over, "severity", f"No finding of severity {level.value} or higher", total)
    if policy.rung is not None:
        rung = policy.rung
        over = [f for f in counted if f.rung.rank >= rung.rank]
        yield _none_of(over, "rung", f"No finding reached {rung.value} or a higher rung", total)
    for pattern in policy.findings:
        over = [f for f in counted if matches(f.id, pattern)]
        yield _none_of(over, f"finding:{pattern}", f"No finding {pattern}", total)


def _none_of(over: Sequence[Finding], rule: str, title: str, total: int) -> Rule:
    if not over:
        return Rule(rule, title, Outcome.PASS, f"None of {total} findings counts against it.")
    listed = "; ".join(f"{f.title.rstrip('.')} ({f.severity.value}, {f.rung.value})" for f in over)
    return Rule(rule, title, Outcome.FAIL, f"{listed}.", tuple(f.id for f in over))


def _coverage_rules(findings: Findings, policy: Policy) -> Iterator[Rule]:
    asked, inputs = policy.coverage, findings.inputs
    lost, unseen = inputs.lost, inputs.unseen_folders
    named = inputs.read + lost
    if asked.max_skipped is not None:
        told = f"{lost:,} of {named:,} images could not be used."
        if unseen:
            told = (
                f"{unseen:,} folders were not looked into: how many images are in them is unknown."
            )
        yield _enough(
            not unseen and lost <= asked.max_skipped * named,
            "coverage.max_skipped",
            f"At most {100 * asked.max_skipped:.3g} % of the images could not be used",
            told,
        )
    if asked.min_images is not None:
        yield _enough(
            inputs.read >= asked.min_images,
            "coverage.min_images",
            f"At least {asked.min_images:,} images were read",
            f"{inputs.read:,} images were read.",
        )
    for detector in asked.detectors:
        yield _applied(findings, detector)
    if asked.maps is not None:
        order = list(Trust)
        yield _enough(
            order.index(findings.explanations.status) <= order.index(asked.maps),
            "coverage.maps",
            f"The maps are {asked.maps.value}"
            + (" or better" if asked.maps is not Trust.TRUSTED else ""),
            f"The maps are {findings.explanations.status.value}.",
        )


def _applied(findings: Findings, detector: str) -> Rule:
    """Return the rule that a detector could be applied: it has a result, and was not skipped."""
    reasons = [s.reason for s in findings.skipped if s.detector == detector]
    results = (
        *(f.detector for f in findings.findings),
        *(n.artifact for n in findings.not_found),
        *(c.id for c in findings.explanations.checks),
    )
    spoke = any(belongs(result, detector) for result in results)
    statement = "It was applied."
    if reasons:
        statement = f"It was skipped: {reasons[0]}"
    elif not spoke:
        statement = (
            "The audit says nothing of it; `melaudit detectors` lists the detectors there are."
        )
    return _enough(
        not reasons and spoke,
        f"coverage.detectors:{detector}",
        f"Detector {detector} could be applied",
        statement,
    )


def _enough(met: bool, rule: str, title: str, statement: str) -> Rule:
    """Return a rule of coverage. Where it is not met the gate is undecided: too little was seen."""
    return Rule(rule, title, Outcome.PASS if met else Outcome.INCONCLUSIVE, statement)


def _performance_rules(findings: Findings, policy: Policy) -> Iterator[Rule]:
    asked, p = policy.performance, findings.performance
    if asked.accuracy is not None:
        yield _at_least("accuracy", p.accuracy, p.accuracy_low, asked.accuracy, p.n)
    if asked.auc is not None:
        yield _at_least("auc", p.auc, p.auc, asked.auc, p.n)
    for name, least in asked.recall.items():
        of = next((c for c in p.per_class if c.name == name), None)
        value, low, n = (None, None, 0) if of is None else (of.recall, of.recall_low, of.n)
        yield _at_least(f"recall:{name}", value, low, least, n)


def _at_least(what: str, value: float | None, low: float | None, least: float, n: int) -> Rule:
    """Return a rule of performance: it passes when even the interval's lower end is high enough."""
    title = f"{what.replace(':', ' of ')} is at least {least:g}"
    rule = f"performance.{what}"
    # A figure that is no number compares as False with anything, and must not pass by that.
    if value is None or low is None or not (math.isfinite(value) and math.isfinite(low)):
        known = "It could not be measured: no labelled images of this kind."
        return Rule(rule, title, Outcome.INCONCLUSIVE, known)
    statement = f"It is {value:.3f} on {n:,} images"
    if low != value:
        statement += f"; the 95 % interval begins at {low:.3f}"
    if value < least:
        return Rule(rule, title, Outcome.FAIL, f"{statement}.")
    if low < least:
        return Rule(
            rule, title, Outcome.INCONCLUSIVE, f"{statement}: more images are needed to show it."
        )
    return Rule(rule, title, Outcome.PASS, f"{statement}.")


def _waiver_rules(waivers: Sequence[Waiver], today: datetime.date) -> Iterator[Rule]:
    for waiver in waivers:
        reason = f"{waiver.owner}: {waiver.reason.rstrip('.')}."
        expired = waiver.expired(today)
        yield Rule(
            f"waiver:{waiver.finding}",
            f"The waiver of {waiver.finding} is in force",
            Outcome.FAIL if expired else Outcome.PASS,
            f"It expired on {waiver.expires}; mend the model or renew it. {reason}"
            if expired
            else f"Until {waiver.expires}. {reason}",
        )


def _notes(findings: Findings, policy: Policy, today: datetime.date) -> Iterator[str]:
    ids: Collection[str] = [f.id for f in findings.findings]
    for waiver in policy.waivers:
        if not any(waiver.covers(identity) for identity in ids):
            yield f"The waiver of {waiver.finding} covers no finding of this audit; remove it."
        elif not waiver.expired(today) and (waiver.expires - today).days <= 30:
            days = (waiver.expires - today).days
            yield f"The waiver of {waiver.finding} expires in {days} days."
