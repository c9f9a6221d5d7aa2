"""False alarms are counted over everything a run tested, and a broken detector is a result."""

import numpy as np
import pytest

from melaudit.audit.conclude.conclusions import conclude, control_false_alarms, trust
from melaudit.detectors.interface import Batch, Result
from melaudit.findings import (
    Check,
    CheckStatus,
    Evidence,
    Finding,
    NotFound,
    Rung,
    Severity,
    Skipped,
    Trust,
)
from melaudit.measurements import Array, Measurements


def evidence(rung: Rung, p: float | None, reached: bool = True) -> Evidence:
    return Evidence(rung, "x", 2.0, 1.5, 3.0, p, None, 50, "nothing", reached, "said")


def finding(name: str, *parts: Evidence, severity: Severity = Severity.HIGH) -> Finding:
    top = max((e.rung for e in parts if e.reached), key=lambda r: r.rank)
    return Finding(
        name, name, name, severity, 0.9, top, name, ("a",), "s", parts, (), "remedy", "not"
    )


def in_vain(p: float) -> NotFound:
    return NotFound("other", 10, 2.0, "odds ratio", "nothing", p)


def bh(p: list[float]) -> list[float]:
    """Benjamini-Hochberg as the paper words it: the smallest q whose step-up rejects it."""
    n = len(p)
    order = sorted(range(n), key=lambda i: p[i])
    q = [0.0] * n
    for place, i in enumerate(order):
        q[i] = min(1.0, min(p[order[k]] * n / (k + 1) for k in range(place, n)))
    return q


def test_q_values_are_those_of_benjamini_and_hochberg_over_findings_and_failures() -> None:
    p = [0.001, 0.02, 0.04]
    found, _ = control_false_alarms(
        [finding("a", evidence(Rung.OPPORTUNITY, p[0]), evidence(Rung.ATTENTION, p[1]))],
        [in_vain(p[2]), in_vain(0.9)],
    )
    expected = bh([*p, 0.9])
    assert [e.q_value for e in found[0].evidence] == pytest.approx(expected[:2])


def test_evidence_that_does_not_survive_loses_its_rung_and_lowers_the_severity() -> None:
    guilty = finding("a", evidence(Rung.OPPORTUNITY, 1e-6), evidence(Rung.ATTENTION, 0.04))
    found, _ = control_false_alarms([guilty], [in_vain(0.5)] * 10)
    assert found[0].rung is Rung.OPPORTUNITY
    assert found[0].severity is Severity.LOW
    assert [e.reached for e in found[0].evidence] == [True, False]


def test_a_finding_without_a_rung_left_is_a_thing_not_found() -> None:
    found, refuted = control_false_alarms(
        [finding("a", evidence(Rung.ATTENTION, 0.04))], [in_vain(0.5)] * 10
    )
    assert not found
    assert refuted[-1].artifact == "a"
    assert refuted[-1].statement.startswith('Nothing is left of "a"')


def test_a_detector_may_be_milder_than_its_rung_but_never_worse() -> None:
    mild = finding("a", evidence(Rung.ATTENTION, 1e-9), severity=Severity.INFO)
    wild = finding("b", evidence(Rung.ATTENTION, 1e-9), severity=Severity.CRITICAL)
    found, _ = control_false_alarms([mild, wild], [])
    assert [f.severity for f in found] == [Severity.INFO, Severity.MEDIUM]


def check(status: CheckStatus) -> Check:
    return Check("c", status, 1.0, 2.0, "said")


def test_trust_is_as_good_as_the_worst_check_and_no_check_is_no_trust() -> None:
    ok, doubt, fail = (check(s) for s in CheckStatus)
    assert trust([ok, ok]) is Trust.TRUSTED
    assert trust([ok, doubt]) is Trust.DEGRADED
    assert trust([ok, doubt, fail]) is Trust.UNUSABLE
    assert trust([]) is Trust.DEGRADED


class Fixed:
    """A detector that answers as told and remembers what it was told of the maps."""

    title = "fixed"

    def __init__(self, name: str, checks: bool, results: list[Result] | Exception) -> None:
        self.id, self.checks_explanations, self.results = name, checks, results
        self.told: Trust | None = None

    def measure(self, batch: Batch) -> dict[str, Array]:
        return {}

    def conclude(self, measurements: Measurements) -> list[Result]:
        self.told = measurements.explanations
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


def test_detectors_learn_what_the_checks_concluded(table: Measurements) -> None:
    later = Fixed("later", False, [])
    done = conclude([later, Fixed("c", True, [check(CheckStatus.FAIL)])], table)
    assert done.trust is Trust.UNUSABLE
    assert later.told is Trust.UNUSABLE


def test_a_detector_that_raises_is_skipped_and_a_check_that_raises_degrades(
    table: Measurements,
) -> None:
    sound = Fixed("c", True, [check(CheckStatus.PASS)])
    done = conclude([sound, Fixed("d", False, ValueError("no"))], table)
    assert done.trust is Trust.TRUSTED
    assert done.skipped == (Skipped("d", "it failed: ValueError: no"),)
    done = conclude([sound, Fixed("e", True, ValueError("no"))], table)
    assert done.trust is Trust.DEGRADED


def test_the_most_severe_finding_comes_first(table: Measurements) -> None:
    low = finding("a", evidence(Rung.OPPORTUNITY, 1e-9), severity=Severity.LOW)
    high = finding("b", evidence(Rung.ATTENTION, 1e-9), evidence(Rung.OPPORTUNITY, 1e-9))
    done = conclude([Fixed("d", False, [low, high])], table)
    assert [f.id for f in done.findings] == ["b", "a"]
