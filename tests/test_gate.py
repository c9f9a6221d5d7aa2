"""The gate: every rule can pass, fail or stay open, and says why."""

import datetime
from dataclasses import replace

import pytest

from melaudit.findings import (
    Check,
    CheckStatus,
    ClassPerformance,
    Evidence,
    Explanations,
    Finding,
    Findings,
    Inputs,
    Missing,
    NotFound,
    Performance,
    Provenance,
    Rung,
    Severity,
    Shortfall,
    Skipped,
    Trust,
    Verdict,
)
from melaudit.gate import GateResult, Outcome, Rule, judge
from melaudit.policy import DEFAULT, Coverage, PassTerms, Policy, Required, Waiver

TODAY = datetime.date(2026, 11, 25)
LATER, EARLIER = datetime.date(2027, 1, 1), datetime.date(2026, 11, 1)


def finding(identity: str, severity: Severity, rung: Rung) -> Finding:
    evidence = Evidence(rung, "odds ratio", 4.0, 2.0, 8.0, 0.01, 0.02, 50, "none", True, "It is.")
    return Finding(
        identity,
        identity.split(".")[0],
        f"About {identity}",
        severity,
        0.9,
        rung,
        None,
        ("malignant",),
        "It is so.",
        (evidence,),
        ("a.jpg",),
        "Mend it.",
        "Nothing else.",
    )


RING = finding("dark_ring.malignant", Severity.HIGH, Rung.DEPENDENCE)
BORDER = finding("border_relevance", Severity.MEDIUM, Rung.ATTENTION)

AUDIT = Findings(
    verdict=Verdict.FAIL,
    reason="It is so.",
    explanations=Explanations(
        Trust.DEGRADED,
        "engine",
        "layer4",
        (Check("conservation", CheckStatus.PASS, 0.01, 0.05, "Sums agree."),),
    ),
    performance=Performance(
        n=400,
        accuracy=0.9,
        accuracy_low=0.867,
        accuracy_high=0.926,
        auc=0.95,
        chance=0.5,
        per_class=(ClassPerformance("malignant", 200, 0.8, 0.74, 0.85, 0.9),),
        confusion=(),
    ),
    findings=(RING, BORDER),
    not_found=(
        NotFound("ruler", 40, 0.1, "odds ratio", "None."),
        NotFound("metadata.sex", 40, 2.0, "odds ratio", "None."),
    ),
    clusters=(),
    skipped=(Skipped("ink", "6 images show ink; a comparison needs 10"),),
    inputs=Inputs(400, {}, {"truncated": 8}),
    provenance=Provenance(
        "m.pt", "0" * 64, "resnet18", "d", "1" * 64, ("benign", "malignant"), None, "p", {}, "c",
        {}, 0, "cpu", "2026-11-25T00:00:00+00:00", 1.0,
    ),
)  # fmt: skip
CLEAN = replace(AUDIT, verdict=Verdict.PASS, findings=())


def held(policy: Policy, audit: Findings = AUDIT, baseline: Findings | None = None) -> GateResult:
    return judge(audit, policy, today=TODAY, baseline=baseline)


def rule(result: GateResult, identity: str) -> Rule:
    return next(r for r in result.rules if r.id == identity)


@pytest.mark.parametrize(
    ("level", "outcome"),
    [
        (Severity.CRITICAL, Outcome.PASS),
        (Severity.HIGH, Outcome.FAIL),
        (Severity.LOW, Outcome.FAIL),
    ],
)
def test_findings_from_a_severity_on_fail(level: Severity, outcome: Outcome) -> None:
    assert held(Policy(fail_on=level)).outcome is outcome


def test_the_failed_rule_names_the_findings_that_failed_it() -> None:
    failed = rule(held(Policy(fail_on=Severity.MEDIUM)), "severity")
    assert failed.findings == ("dark_ring.malignant", "border_relevance")
    assert "About dark_ring.malignant (high, dependence)" in failed.statement


def test_findings_from_a_rung_on_fail_whatever_their_severity() -> None:
    audit = replace(AUDIT, findings=(replace(RING, severity=Severity.LOW),))
    assert held(Policy(rung=Rung.DEPENDENCE), audit).outcome is Outcome.FAIL
    assert held(Policy(rung=Rung.HARM), audit).outcome is Outcome.PASS


def test_particular_findings_fail_whatever_their_severity_and_rung() -> None:
    assert held(Policy(findings=("border*",))).outcome is Outcome.FAIL
    assert held(Policy(findings=("hair*",))).outcome is Outcome.PASS


def test_a_waived_finding_does_not_count() -> None:
    waiver = Waiver("dark_ring*", "A. Author", "not in use", LATER)
    result = held(Policy(fail_on=Severity.HIGH, waivers=(waiver,)))
    assert result.outcome is Outcome.PASS
    assert result.waived == (("dark_ring.malignant", waiver),)
    told = rule(result, "severity").statement
    assert "other than those waived" in told and "About dark_ring.malignant (high" in told


def test_the_first_rule_says_what_was_found_and_not_a_verdict_against_its_own() -> None:
    told = rule(held(Policy(fail_on=Severity.CRITICAL)), "audit")
    assert told.outcome is Outcome.PASS
    assert told.statement == "It has 2 findings: 1 high, 1 medium."


def test_figures_are_those_of_the_report() -> None:
    audit = replace(CLEAN, performance=replace(AUDIT.performance, accuracy=0.8875))
    told = rule(held(Policy(performance=Required(accuracy=0.85)), audit), "performance.accuracy")
    assert "88.8 %" in told.statement and "85.0 %" in told.title


HAIR = Shortfall(Missing.UNTESTED, "hair", "Hair", "no image was edited", "Edit images.")
SMALL_AUDIT = Shortfall(Missing.IMAGES, "", "", "60 images were audited.", "Audit more.")
CONTROL = Shortfall(Missing.CONTROL, "planted_evidence", "Planted", "Not found.", "Edit more.")
MAPS = Shortfall(Missing.MAPS, "", "", "Too few checks.", "Check more.")


@pytest.mark.parametrize(
    ("lack", "accepting", "refusing"),
    [
        (HAIR, PassTerms(untested=("ha*",)), PassTerms(untested=("ink",))),
        (SMALL_AUDIT, PassTerms(min_images=400), PassTerms(min_images=401)),
        (CONTROL, PassTerms(failed_controls=("planted_evidence",)), PassTerms(untested=("*",))),
        (MAPS, PassTerms(unchecked_maps=True), PassTerms()),
    ],
)
def test_what_was_not_tested_leaves_the_gate_open_unless_the_policy_accepts_it(
    lack: Shortfall, accepting: PassTerms, refusing: PassTerms
) -> None:
    audit = replace(CLEAN, verdict=Verdict.INCONCLUSIVE, shortfalls=(lack,))
    for terms in (PassTerms(), refusing):
        result = held(Policy(fail_on=Severity.HIGH, passing=terms), audit)
        assert result.outcome is Outcome.INCONCLUSIVE
        told = rule(result, "tested").statement
        assert lack.statement.rstrip(".") in told and lack.settle in told
    assert held(Policy(fail_on=Severity.HIGH, passing=accepting), audit).outcome is Outcome.PASS


def test_no_policy_accepts_an_audit_that_cannot_be_relied_on() -> None:
    doubt = Shortfall(Missing.EVIDENCE, "", "", "Near chance.", "")
    everything = PassTerms(("*",), 1, ("*",), unchecked_maps=True)
    audit = replace(
        CLEAN, verdict=Verdict.INCONCLUSIVE, reason="Near chance.", shortfalls=(doubt, HAIR)
    )
    result = held(Policy(passing=everything), audit)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.rules[0].statement == "Near chance."


def test_a_waived_failure_passes_nothing_that_was_not_tested() -> None:
    waiver = Waiver("dark_ring*", "A. Author", "not in use", LATER)
    audit = replace(AUDIT, shortfalls=(HAIR,))
    policy = Policy(fail_on=Severity.HIGH, waivers=(waiver,))
    assert held(policy, audit).outcome is Outcome.INCONCLUSIVE
    assert held(DEFAULT, audit).outcome is Outcome.FAIL


def test_an_expired_waiver_fails_and_says_when_and_whose_it_was() -> None:
    waiver = Waiver("dark_ring*", "A. Author", "not in use", EARLIER)
    result = held(Policy(fail_on=Severity.CRITICAL, waivers=(waiver,)))
    assert result.outcome is Outcome.FAIL
    told = rule(result, "waiver:dark_ring*").statement
    assert "expired on 2026-11-01" in told and "A. Author" in told
    assert result.waived == ()


def test_a_waiver_that_covers_nothing_or_soon_expires_is_mentioned() -> None:
    soon = Waiver("dark_ring*", "o", "r", TODAY + datetime.timedelta(days=9))
    result = held(Policy(waivers=(Waiver("hair", "o", "r", LATER), soon)))
    assert any("covers no finding" in note for note in result.notes)
    assert any("expires in 9 days" in note for note in result.notes)


def test_with_a_baseline_only_what_is_new_or_worse_fails() -> None:
    assert held(DEFAULT, baseline=AUDIT).outcome is Outcome.PASS
    assert held(DEFAULT, baseline=AUDIT).known == ("dark_ring.malignant", "border_relevance")
    assert held(DEFAULT, baseline=CLEAN).outcome is Outcome.FAIL
    milder = replace(AUDIT, findings=(replace(RING, severity=Severity.LOW),))
    assert held(DEFAULT, baseline=milder).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("coverage", "outcome"),
    [
        (Coverage(max_skipped=0.05), Outcome.PASS),
        (Coverage(max_skipped=0.01), Outcome.INCONCLUSIVE),
        (Coverage(min_images=400), Outcome.PASS),
        (Coverage(min_images=401), Outcome.INCONCLUSIVE),
        (Coverage(detectors=("conservation", "ruler", "metadata")), Outcome.PASS),
        (Coverage(detectors=("ink",)), Outcome.INCONCLUSIVE),
        (Coverage(detectors=("no_such_detector",)), Outcome.INCONCLUSIVE),
        (Coverage(maps=Trust.DEGRADED), Outcome.PASS),
        (Coverage(maps=Trust.TRUSTED), Outcome.INCONCLUSIVE),
    ],
)
def test_what_was_not_seen_enough_of_is_inconclusive(coverage: Coverage, outcome: Outcome) -> None:
    assert held(Policy(coverage=coverage), CLEAN).outcome is outcome


@pytest.mark.parametrize(
    ("required", "outcome"),
    [
        (Required(accuracy=0.86), Outcome.PASS),
        (Required(accuracy=0.88), Outcome.INCONCLUSIVE),  # 0.9, but from 0.867 on
        (Required(accuracy=0.92), Outcome.FAIL),
        (Required(auc=0.95), Outcome.PASS),
        (Required(auc=0.96), Outcome.FAIL),
        (Required(recall={"malignant": 0.7}), Outcome.PASS),
        (Required(recall={"malignant": 0.75}), Outcome.INCONCLUSIVE),
        (Required(recall={"malignant": 0.9}), Outcome.FAIL),
        (Required(recall={"nevus": 0.1}), Outcome.INCONCLUSIVE),
    ],
)
def test_performance_must_be_shown_not_only_estimated(required: Required, outcome: Outcome) -> None:
    assert held(Policy(performance=required), CLEAN).outcome is outcome


def test_a_failed_rule_outweighs_an_open_one() -> None:
    policy = Policy(fail_on=Severity.HIGH, coverage=Coverage(min_images=1000))
    assert held(policy).outcome is Outcome.FAIL


def test_an_inconclusive_audit_decides_nothing_whatever_its_findings() -> None:
    audit = replace(AUDIT, verdict=Verdict.INCONCLUSIVE, reason="Accuracy is near chance.")
    result = held(DEFAULT, audit)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.rules[0].statement == "Accuracy is near chance."
    assert rule(result, "severity").outcome is Outcome.FAIL  # and yet it is told


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_figure_that_is_no_number_never_passes(value: float) -> None:
    asked = Policy(performance=Required(accuracy=0.85, auc=0.5))
    spoilt = replace(AUDIT.performance, accuracy=value, accuracy_low=value, auc=value)
    outcomes = {
        rule.id: rule.outcome
        for rule in judge(replace(AUDIT, performance=spoilt), asked, today=TODAY).rules
    }
    assert outcomes["performance.accuracy"] is Outcome.INCONCLUSIVE
    assert outcomes["performance.auc"] is Outcome.INCONCLUSIVE


def test_folders_that_nobody_looked_into_leave_coverage_open() -> None:
    asked = Policy(coverage=Coverage(max_skipped=0.5))
    unseen = replace(AUDIT, inputs=Inputs(300, {}, {"folder_unreadable": 1}))
    (rule,) = [r for r in judge(unseen, asked, today=TODAY).rules if r.id == "coverage.max_skipped"]
    assert rule.outcome is Outcome.INCONCLUSIVE
    assert "1 folder" in rule.statement
