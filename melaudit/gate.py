"""The gate: an audit held against a policy, rule by rule.

Each rule passes, fails or cannot be decided, and says why. An audit that cannot be relied on
decides nothing, so the gate is inconclusive then, whatever the findings; otherwise one failed rule
fails it. What the audit did not test leaves the gate open, unless the policy accepts that in
writing.
Findings that a waiver covers, or that a baseline had already, do not count.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from melaudit.findings import Answer, Finding, Findings, Missing, Severity, Trust, Verdict
from melaudit.policy import Policy, Waiver, matches
from melaudit.wording.detectors import belongs
from melaudit.wording.figures import NBSP, figure, rounded_percent
from melaudit.wording.names import measure
from melaudit.wording.sentences import many

RELIABLE = "What the audit found can be relied on"
"""The title of the rule that comes before all others."""


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
    rules = (
        _concluded(findings),
        _tested(findings, policy),
        *_finding_rules(findings, policy, excused),
        *_coverage_rules(findings, policy),
        *_performance_rules(findings, policy),
        *_acceptance_rules(findings, policy),
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
    """Return the rule that what the audit says can be relied on, whatever that is.

    An audit of an earlier version names no shortfalls, so that its reason is all there is.
    """
    lacking = [s.missing for s in findings.shortfalls]
    undecided = findings.verdict is Verdict.INCONCLUSIVE and not lacking
    if undecided or Missing.EVIDENCE in lacking:
        return Rule("audit", RELIABLE, Outcome.INCONCLUSIVE, findings.reason)
    counts = Counter(f.severity for f in findings.findings)
    listed = ", ".join(f"{counts[s]} {s.value}" for s in reversed(Severity) if counts[s])
    said = f"It has {many(len(findings.findings), 'finding')}" + (f": {listed}" if listed else "")
    return Rule("audit", RELIABLE, Outcome.PASS, f"{said}.")


def _tested(findings: Findings, policy: Policy) -> Rule:
    """Return the rule that everything was tested which a pass needs, or the policy lets it be."""
    apart = (Missing.EVIDENCE, Missing.LIMIT)  # they have rules of their own
    lacking = [s for s in findings.shortfalls if s.missing not in apart]
    read = findings.inputs.read
    open_ = [s for s in lacking if not policy.passing.accept(s, read)]
    title = "Everything was tested that a pass needs"
    if open_:
        by_need: dict[str, list[str]] = {}
        for lack in open_:
            reason = lack.statement.rstrip(".")
            by_need.setdefault(reason, []).append(lack.title)
        said = [": ".join(filter(None, (", ".join(n), why))) for why, n in by_need.items()]
        settle = " ".join(dict.fromkeys(s.settle for s in open_ if s.settle))
        return Rule("tested", title, Outcome.INCONCLUSIVE, f"{'; '.join(said)}. {settle}".strip())
    named = ", ".join(s.title or s.missing.value for s in lacking)
    accepted = f"The policy accepts what is open: {named}." if lacking else "Nothing is open."
    return Rule("tested", title, Outcome.PASS, accepted)


def _finding_rules(findings: Findings, policy: Policy, excused: Collection[str]) -> Iterator[Rule]:
    def rule(identity: str, title: str, over: Sequence[Finding]) -> Rule:
        return _none_of(over, identity, title, excused)

    every = findings.findings
    if policy.fail_on is not None:
        level = policy.fail_on
        title = f"No finding of severity {level.value} or higher"
        yield rule("severity", title, [f for f in every if f.severity.rank >= level.rank])
    if policy.rung is not None:
        rung = policy.rung
        title = f"No finding reached {rung.value} or a higher rung"
        yield rule("rung", title, [f for f in every if f.rung.rank >= rung.rank])
    for pattern in policy.findings:
        met = [f for f in every if matches(f.id, pattern)]
        yield rule(f"finding:{pattern}", f"No finding {pattern}", met)


def _none_of(met: Sequence[Finding], rule: str, title: str, excused: Collection[str]) -> Rule:
    """Return a rule that no finding may meet, other than those that are waived or known."""
    over = [f for f in met if f.id not in excused]
    if over:
        return Rule(rule, title, Outcome.FAIL, f"{_listed(over)}.", tuple(f.id for f in over))
    if met:
        said = f"None other than those waived or known from the baseline: {_listed(met)}."
        return Rule(rule, title, Outcome.PASS, said)
    return Rule(rule, title, Outcome.PASS, "There is none.")


def _listed(findings: Sequence[Finding]) -> str:
    return "; ".join(
        f"{f.title.rstrip('.')} ({f.severity.value}, {f.rung.value})" for f in findings
    )


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
            f"Images that were read: at least {asked.min_images:,}",
            f"{many(inputs.read, 'image')} could be read.",
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


def _acceptance_rules(findings: Findings, policy: Policy) -> Iterator[Rule]:
    """Return a rule for each limit that the intended use sets."""
    use = findings.intended_use
    outcomes = {Answer.MET: Outcome.PASS, Answer.NOT_MET: Outcome.FAIL}
    for limit in () if use is None else use.acceptance:
        outcome = outcomes.get(limit.answer, Outcome.INCONCLUSIVE)
        statement = limit.statement
        accepted = any(matches(limit.measure, pattern) for pattern in policy.passing.limits)
        if outcome is Outcome.INCONCLUSIVE and accepted:
            outcome, statement = Outcome.PASS, f"{statement} The policy accepts that."
        title = f"Limit of the intended use: {measure(limit.measure)}"
        yield Rule(f"acceptance.{limit.measure}", title, outcome, statement)


def _at_least(what: str, value: float | None, low: float | None, least: float, n: int) -> Rule:
    """Return a rule of performance: it passes when even the interval's lower end is high enough."""
    title = f"{what.replace(':', ' of ')} is at least {_figure(least, what)}"
    rule = f"performance.{what}"
    # A figure that is no number compares as False with anything, and must not pass by that.
    if value is None or low is None or not (math.isfinite(value) and math.isfinite(low)):
        known = "It could not be measured: no labelled images of this kind."
        return Rule(rule, title, Outcome.INCONCLUSIVE, known)
    statement = f"It is {_figure(value, what)} on {n:,} images"
    if low != value:
        statement += f"; the 95 % interval begins at {_figure(low, what)}"
    if value < least:
        return Rule(rule, title, Outcome.FAIL, f"{statement}.")
    if low < least:
        return Rule(
            rule, title, Outcome.INCONCLUSIVE, f"{statement}: more images are needed to show it."
        )
    return Rule(rule, title, Outcome.PASS, f"{statement}.")


def _figure(value: float, what: str) -> str:
    """Write a figure of performance as the report does: shares in percent, the area as it is."""
    written = figure(value) if what == "auc" else rounded_percent(value, 1)
    return written.replace(NBSP, " ")


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
