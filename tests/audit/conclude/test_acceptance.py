"""Limits of an intended use: met, not met, or cannot be told, by the interval of the figure."""

import datetime
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from melaudit.audit.conclude.acceptance import judged
from melaudit.audit.conclude.conclusions import Conclusions
from melaudit.audit.conclude.performance import performance
from melaudit.audit.conclude.shortfalls import shortfalls
from melaudit.audit.conclude.verdict import judge
from melaudit.audit.prepare.intended_use import Stated
from melaudit.findings import (
    Acceptance,
    Answer,
    Calibration,
    Figure,
    Missing,
    Performance,
    Severity,
    Shortfall,
    Trust,
    Verdict,
)
from melaudit.gate import Outcome
from melaudit.gate import judge as gate
from melaudit.policy import parse_policy
from melaudit.wording.terms import LIMITS_MISSED
from tests.reports.made_up_variants import VARIANTS

CLASSES = ("benign", "malignant")
NOTHING = Conclusions((), (), (), (), ())
"""What a run without any detector concludes."""


def made(right: int, n: int = 200) -> Performance:
    """Return the performance of a model that is right on so many of n malignant images."""
    labels = np.repeat([0, 1], n)
    predictions = np.concatenate([np.zeros(n, int), np.arange(n) < right])
    probabilities = np.eye(2, dtype=np.float32)[predictions]
    return performance(labels, predictions, probabilities, CLASSES, 1)


def held(
    p: Performance, measure: str, limit: float, classes: tuple[str, ...] = CLASSES
) -> Acceptance:
    use = judged(Stated(limits={measure: limit}), p, classes, 1)
    assert use is not None
    return use.acceptance[0]


@pytest.mark.parametrize(
    ("right", "answer"), [(196, Answer.MET), (182, Answer.OPEN), (160, Answer.NOT_MET)]
)
@pytest.mark.parametrize("measure", ["sensitivity", "recall of malignant"])
def test_the_whole_interval_decides(right: int, answer: Answer, measure: str) -> None:
    found = held(made(right), measure, 0.9)

    assert found.answer is answer
    assert (found.value, found.n) == (right / 200, 200)
    # An oracle of another kind: exact binomial tails at the limit, 2.5 % on each side.
    too_many = binom.sf(right - 1, 200, 0.9) < 0.025
    too_few = binom.cdf(right, 200, 0.9) < 0.025
    assert (too_many, too_few) == (answer is Answer.MET, answer is Answer.NOT_MET)
    assert f"{right / 2:.1f} %" in found.statement and found.statement.count("90.0 %") == 1


def test_as_many_images_as_are_named_would_tell() -> None:
    found = held(made(186), "sensitivity", 0.9)
    assert found.answer is Answer.OPEN
    needed = int(found.statement.split("About ")[1].split(" ")[0].replace(",", ""))

    more = held(made(round(0.93 * needed), needed), "sensitivity", 0.9)

    assert needed > 200
    assert more.answer is Answer.MET


def test_what_must_not_exceed_its_limit_is_held_from_the_other_side() -> None:
    p = made(190)

    def with_error(low: float, high: float) -> Performance:
        error = Figure((low + high) / 2, low, high)
        one = Calibration("malignant", 400, error, 0.01, 0.02, error, 0.25, ())
        return replace(p, calibration=one)

    answers = [
        held(with_error(*ends), "calibration_error", 0.1).answer
        for ends in ((0.02, 0.08), (0.05, 0.15), (0.12, 0.2))
    ]
    assert answers == [Answer.MET, Answer.OPEN, Answer.NOT_MET]


def test_what_cannot_be_measured_is_said_and_stays_open() -> None:
    nothing = performance(
        np.array([-1]), np.array([0]), np.array([[0.9, 0.1]], np.float32), CLASSES, 1
    )
    for measure in ("accuracy", "sensitivity", "specificity", "auc", "calibration_error"):
        found = held(nothing, measure, 0.5)
        assert (found.answer, found.value) == (Answer.OPEN, None)
        assert "could not be measured" in found.statement
    assert "There is no class melanoma" in held(made(180), "recall of melanoma", 0.5).statement


def test_the_verdict_takes_limits_into_account() -> None:
    missed, open_ = held(made(160), "sensitivity", 0.9), held(made(182), "sensitivity", 0.9)

    verdict, reason = judge([], [], Severity.HIGH, limits=[missed])
    assert verdict is Verdict.FAIL
    assert reason.startswith(LIMITS_MISSED) and missed.statement in reason

    lacking = shortfalls(
        [], NOTHING, [], Trust.TRUSTED, doubts=(), images=400, edits=40, limits=[open_]
    )
    assert [s.missing for s in lacking] == [Missing.LIMIT]
    verdict, reason = judge([], lacking, Severity.HIGH, limits=[open_])
    assert verdict is Verdict.INCONCLUSIVE
    assert open_.statement in reason


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [({}, Outcome.INCONCLUSIVE), ({"pass": {"limits": ["sens*"]}}, Outcome.PASS)],
)
def test_the_gate_has_a_rule_for_each_limit(policy: dict[str, object], outcome: Outcome) -> None:
    findings = VARIANTS["nothing"]().findings
    use = judged(
        Stated(limits={"sensitivity": 0.9, "recall of malignant": 0.5}), made(182), CLASSES, 1
    )
    assert use is not None
    open_ = Shortfall(Missing.LIMIT, "sensitivity", "sensitivity", "why", "")
    findings = replace(
        findings, findings=(), verdict=Verdict.INCONCLUSIVE, shortfalls=(open_,), intended_use=use
    )

    result = gate(findings, parse_policy(policy, "policy"), today=datetime.date(2026, 1, 1))

    rules = {rule.id: rule.outcome for rule in result.rules}
    assert rules["acceptance.sensitivity"] is outcome
    assert rules["acceptance.recall of malignant"] is Outcome.PASS
    assert rules["tested"] is Outcome.PASS
    assert result.outcome is outcome


def test_a_limit_that_is_not_met_fails_the_gate() -> None:
    use = judged(Stated(limits={"sensitivity": 0.9}), made(160), CLASSES, 1)
    findings = replace(VARIANTS["nothing"]().findings, findings=(), intended_use=use)

    result = gate(findings, parse_policy({}, "policy"), today=datetime.date(2026, 1, 1))

    (rule,) = [r for r in result.rules if r.id == "acceptance.sensitivity"]
    assert rule.outcome is Outcome.FAIL
    assert "must be at least 90.0 %: not met" in rule.statement


def test_the_gate_names_measures_in_words() -> None:
    use = judged(Stated(limits={"auc": 0.9, "calibration_error": 0.1}), made(160), CLASSES, 1)
    findings = replace(VARIANTS["nothing"]().findings, findings=(), intended_use=use)

    result = gate(findings, parse_policy({}, "policy"), today=datetime.date(2026, 1, 1))

    titles = [rule.title for rule in result.rules if rule.id.startswith("acceptance.")]
    assert titles == [
        "Limit of the intended use: area under the ROC curve",
        "Limit of the intended use: calibration error",
    ]
