"""Tests are corrected over the whole run before a word is said; a broken detector is a result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from melaudit.audit.conclude.conclusions import check_maps, conclude, trust, worded
from melaudit.detectors.claim import Claim, evidence_of, finding
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.errors import DatasetError, StoreError
from melaudit.findings import (
    Check,
    CheckStatus,
    Evidence,
    Failed,
    Finding,
    NotFound,
    Rung,
    Severity,
    Skipped,
    Subject,
    Trust,
)
from melaudit.measurements import Array, Measurements
from melaudit.statistics.correction import clear, false_discovery
from melaudit.statistics.estimates import Tested


@dataclass(frozen=True)
class Ladder:
    """One test on each of some rungs."""

    tests: tuple[tuple[Rung, Tested], ...]


def ladder(*p: tuple[Rung, float]) -> Ladder:
    return Ladder(tuple((rung, Tested(2.0, 1.5, 3.0, value)) for rung, value in p))


def evidence(tested: Ladder) -> list[Evidence]:
    return [
        evidence_of(rung, "x", test, 50, "nothing", "said", reached=clear(test))
        for rung, test in tested.tests
    ]


def claim(name: str, *p: tuple[Rung, float], **differs: Any) -> Claim[Ladder]:
    """Return a claim with one test a rung, titled by the rungs that are left."""

    def word(tested: Ladder, left: tuple[Evidence, ...]) -> list[Finding | NotFound]:
        rungs = [e.rung for e in left if e.reached]
        if not rungs:
            return [NotFound(name, 50, None, "", "nothing is left")]
        found = finding(
            left,
            Trust.TRUSTED,
            id=name,
            detector=name,
            title=" and ".join(rungs),
            statement="s",
            images=(),
            remedy="r",
            does_not_show="d",
        )
        return [replace(found, **differs)]

    return Claim(name, ladder(*p), evidence, word)


def nulls(n: int) -> list[Result]:
    return [claim(f"null{i}", (Rung.OPPORTUNITY, 0.5)) for i in range(n)]


def test_q_values_are_those_of_every_test_of_the_run_together() -> None:
    p = [0.001, 0.02, 0.04, 0.9]
    _, tests = worded(
        [
            claim("a", (Rung.OPPORTUNITY, p[0]), (Rung.ATTENTION, p[1])),
            claim("b", (Rung.OPPORTUNITY, p[2])),
            claim("c", (Rung.ATTENTION, p[3])),
        ]
    )
    assert [t.claim for t in tests] == ["a", "a", "b", "c"]
    assert [t.q_value for t in tests] == pytest.approx(false_discovery(p))


def test_what_does_not_survive_is_in_no_word_of_the_finding() -> None:
    guilty = claim("a", (Rung.OPPORTUNITY, 1e-6), (Rung.DEPENDENCE, 0.04))
    alone, _ = worded([guilty])
    found, _ = worded([guilty, *nulls(10)])
    first, left = alone[0], found[0]
    assert isinstance(first, Finding)
    assert isinstance(left, Finding)
    assert (first.title, first.severity) == ("opportunity and dependence", Severity.HIGH)
    assert (left.title, left.severity) == ("opportunity", Severity.LOW)
    assert left.rung is Rung.OPPORTUNITY
    assert [e.reached for e in left.evidence] == [True, False]


def test_a_claim_without_a_rung_left_is_a_thing_not_found_and_its_test_is_still_listed() -> None:
    said, tests = worded([claim("a", (Rung.ATTENTION, 0.04)), *nulls(10)])
    assert not [r for r in said if isinstance(r, Finding)]
    assert isinstance(said[0], NotFound)
    assert (tests[0].claim, tests[0].p_value) == ("a", 0.04)
    assert tests[0].q_value > 0.05


def test_a_detector_may_be_milder_than_its_rung_but_never_worse() -> None:
    mild = claim("a", (Rung.ATTENTION, 1e-9), severity=Severity.INFO)
    wild = claim("b", (Rung.ATTENTION, 1e-9), severity=Severity.CRITICAL)
    higher = claim("c", (Rung.ATTENTION, 1e-9), rung=Rung.HARM)
    (gentle, wrong, untrue), _ = worded([mild, wild, higher])
    assert isinstance(gentle, Finding)
    assert gentle.severity is Severity.INFO
    assert isinstance(wrong, Skipped)
    assert "has severity critical" in wrong.reason
    assert isinstance(untrue, Skipped)
    assert "claims harm" in untrue.reason


def test_evidence_that_was_kept_from_correction_is_refused() -> None:
    hidden = Evidence(Rung.HARM, "x", 2.0, 1.5, 3.0, 1e-9, 1e-9, 50, "nothing", True, "said")

    def word(tested: Ladder, left: tuple[Evidence, ...]) -> list[Finding | NotFound]:
        found = finding(
            (*left, hidden), Trust.TRUSTED, id="a", detector="a", title="t", statement="s",
            images=(), remedy="r", does_not_show="d",
        )  # fmt: skip
        return [found]

    (skipped,), _ = worded([Claim("a", ladder((Rung.ATTENTION, 1e-9)), evidence, word)])
    assert isinstance(skipped, Skipped)
    assert "did not give for correction" in skipped.reason


def check(status: CheckStatus) -> Check:
    return Check("c", status, 1.0, 2.0, "said")


def test_trust_is_as_good_as_the_worst_check_and_no_check_is_no_trust() -> None:
    ok, doubt, fail = (check(s) for s in CheckStatus)
    assert trust([ok, ok]) is Trust.TRUSTED
    assert trust([ok, doubt]) is Trust.DEGRADED
    assert trust([ok, doubt, fail]) is Trust.UNUSABLE
    assert trust([]) is Trust.NOT_CHECKED


def test_trust_needs_at_least_half_of_the_checks_that_were_asked() -> None:
    silent = [Skipped(f"s{k}", "the logits are zero") for k in range(6)]
    passed = [Check(f"c{k}", CheckStatus.PASS, 1.0, 2.0, "said") for k in range(4)]
    assert trust(passed[:1], silent) is Trust.NOT_CHECKED
    assert not trust(passed[:1], silent).usable
    assert trust(passed[:3], silent[:4]) is Trust.NOT_CHECKED
    assert trust(passed, silent[:3]) is Trust.TRUSTED
    # One failure is enough, however little else was checked.
    assert trust([check(CheckStatus.FAIL)], silent) is Trust.UNUSABLE


class Fixed(Detector):
    """A detector that answers as it was made to."""

    title = "fixed"

    def __init__(self, name: str, checks: bool, results: list[Result] | Exception) -> None:
        self.id, self.results = name, results
        self.subject = Subject.EXPLANATIONS if checks else Subject.MODEL

    def measure(self, batch: Batch) -> dict[str, Array]:
        return {}

    def conclude(self, measurements: Measurements) -> list[Result]:
        if isinstance(self.results, Exception):
            raise self.results
        return self.results


@pytest.fixture
def table() -> Measurements:
    none = np.zeros(0, np.int64)
    return Measurements(
        (), none, none, none, np.zeros((0, 2), np.float32), ("a", "b"), None,
        lambda name: np.zeros(0), "layer", Trust.TRUSTED, 0,
    )  # fmt: skip


def test_checks_conclude_first_and_alone(table: Measurements) -> None:
    later = Fixed("later", False, [Skipped("later", "too few")])
    failing = Fixed("c", True, [check(CheckStatus.FAIL)])
    assert check_maps([later, failing], table).trust is Trust.UNUSABLE
    assert conclude([later, failing], table).skipped == (Skipped("later", "too few"),)


def test_a_detector_that_raises_is_skipped_and_a_check_that_raises_degrades(
    table: Measurements,
) -> None:
    sound = Fixed("c", True, [check(CheckStatus.PASS)])
    broken = Fixed("d", False, ValueError("no"))
    assert check_maps([sound, broken], table).trust is Trust.TRUSTED
    assert conclude([sound, broken], table).skipped == (Failed("d", "it failed: ValueError: no"),)
    assert check_maps([sound, Fixed("e", True, ValueError("no"))], table).trust is Trust.DEGRADED


@pytest.mark.parametrize(
    "error", [StoreError("a shard is gone"), DatasetError("another file"), MemoryError()]
)
def test_what_could_have_met_any_detector_ends_the_run(
    error: Exception, table: Measurements
) -> None:
    with pytest.raises(type(error)):
        conclude([Fixed("a", False, error)], table)
    with pytest.raises(type(error)):
        check_maps([Fixed("a", True, error)], table)


def test_a_finding_that_no_correction_has_seen_is_refused(table: Measurements) -> None:
    (made,), _ = worded([claim("a", (Rung.ATTENTION, 1e-9))])
    raw: list[Any] = [made]
    (skipped,) = conclude([Fixed("d", False, raw)], table).skipped
    assert "worded from a Claim" in skipped.reason


def test_of_a_model_at_chance_only_what_the_data_show_is_claimed(table: Measurements) -> None:
    data, model = claim("a", (Rung.OPPORTUNITY, 1e-9)), claim("b", (Rung.ATTENTION, 1e-9))
    done = conclude([Fixed("d", False, [data, model])], replace(table, above_chance=False))
    assert [f.id for f in done.findings] == ["a"]
    assert done.skipped == (Skipped("b", "the predictions do not follow the labels"),)


def test_the_most_severe_finding_comes_first(table: Measurements) -> None:
    low = claim("a", (Rung.OPPORTUNITY, 1e-9))
    high = claim("b", (Rung.ATTENTION, 1e-9), (Rung.OPPORTUNITY, 1e-9))
    done = conclude([Fixed("d", False, [low, high])], table)
    assert [f.id for f in done.findings] == ["b", "a"]


def test_what_is_skipped_without_a_reason_says_so(table: Measurements) -> None:
    done = conclude([Fixed("d", False, [Skipped("d", " ")])], table)
    assert done.skipped == (Skipped("d", "it gave no reason"),)


SOUND = Check("c", CheckStatus.PASS, 1.0, 2.0, "said")


def with_value(result: Any, **wrong: Any) -> Any:
    """Return a result with values that its type does not allow."""
    return replace(result, **wrong)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (Skipped("", "why"), "detector of the skipped"),
        (with_value(SOUND, status="excellent"), "status of the check it returned is 'excellent'"),
        (with_value(SOUND, value="high"), "value of the check it returned is 'high'"),
        (replace(SOUND, id=""), "id of the check"),
        (NotFound("ring", -1, None, "", "s"), "n of the not found it returned is -1"),
        (NotFound("ring", 5, None, "", "s", p_value=2.0), "p_value of the not found"),
        (with_value(NotFound("ring", 5, None, "", "s"), excluded="yes"), "excluded"),
        (claim("", (Rung.ATTENTION, 1e-9)), "a claim with the id ''"),
        (claim("a", (Rung.ATTENTION, 1e-9), confidence=float("nan")), "confidence of the finding"),
        (claim("a", (Rung.ATTENTION, 1e-9), confidence=7.0), "confidence of the finding"),
        (claim("a", (Rung.ATTENTION, 1e-9), title=""), "title of the finding it returned is ''"),
        (claim("a", (Rung.ATTENTION, 1e-9), images=(7,)), "images[0] of the finding"),
        (claim("a", (Rung.ATTENTION, 1e-9), remedy=None), "remedy of the finding"),
    ],
)
def test_what_findings_json_cannot_hold_costs_its_detector_only(
    table: Measurements, result: Result, said: str
) -> None:
    sane = Fixed("sane", False, [claim("b", (Rung.ATTENTION, 1e-9))])
    done = conclude([Fixed("plug_in", False, [result]), sane], table)
    assert [f.id for f in done.findings] == ["b"]
    (skipped,) = done.skipped
    assert skipped.detector == "plug_in"
    assert said in skipped.reason


def test_evidence_without_a_number_carries_nothing(table: Measurements) -> None:
    def no_number(tested: Ladder) -> list[Evidence]:
        return [replace(e, estimate=float("nan")) for e in evidence(tested)]

    made = claim("a", (Rung.ATTENTION, 1e-9))
    done = conclude([Fixed("d", False, [replace(made, evidence=no_number)])], table)
    (skipped,) = done.skipped
    assert "carries a rung with an estimate of nan" in skipped.reason
    assert not done.findings
    assert not done.tests


def test_a_check_that_findings_json_cannot_hold_degrades_the_maps(table: Measurements) -> None:
    broken = Fixed("plug_in", True, [with_value(SOUND, status="excellent")])
    checked = check_maps([broken], table)
    assert [check.status for check in checked.checks] == [CheckStatus.DEGRADED]
    assert "status of the check" in checked.skipped[0].reason
