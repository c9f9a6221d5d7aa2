"""The verdict: doubts, then failures; never a pass on what was not tested."""

import numpy as np
import pytest

from melaudit.audit.conclude.verdict import coverage_doubt, judge, one_answer
from melaudit.findings import (
    Control,
    Finding,
    Missing,
    NotFound,
    Reaction,
    Rung,
    Severity,
    Shortfall,
    Verdict,
)

CLASSES = ("benign", "malignant")


def finding(severity: Severity) -> Finding:
    return Finding(
        "f", "d", "It looks there", severity, 0.9, Rung.ATTENTION, None, (), "s", (), (), "", ""
    )


@pytest.mark.parametrize(
    ("severities", "fail_on", "expected"),
    [
        ([], Severity.HIGH, Verdict.PASS),
        ([Severity.LOW], Severity.HIGH, Verdict.PASS),
        ([Severity.MEDIUM], Severity.HIGH, Verdict.WARN),
        ([Severity.MEDIUM], Severity.MEDIUM, Verdict.FAIL),
        ([Severity.CRITICAL, Severity.LOW], Severity.HIGH, Verdict.FAIL),
        ([Severity.HIGH], Severity.CRITICAL, Verdict.WARN),
    ],
)
def test_the_worst_finding_decides_where_nothing_is_open(
    severities: list[Severity], fail_on: Severity, expected: Verdict
) -> None:
    verdict, reason = judge([finding(s) for s in severities], [], fail_on)
    assert verdict is expected
    assert (reason == "It looks there.") == (expected in (Verdict.FAIL, Verdict.WARN))


def lack(missing: Missing, title: str = "", statement: str = "why", settle: str = "") -> Shortfall:
    return Shortfall(missing, title.lower(), title, statement, settle)


def test_a_failure_stands_whatever_was_not_tested_and_nothing_else_does() -> None:
    open_ = [lack(Missing.UNTESTED, "Hair", "no image was edited", "Edit images: --edits 40.")]
    verdict, reason = judge([finding(Severity.CRITICAL)], open_, Severity.HIGH)
    assert (verdict, reason) == (Verdict.FAIL, "It looks there.")
    for found in ([], [finding(Severity.LOW)], [finding(Severity.MEDIUM)]):
        verdict, reason = judge(found, open_, Severity.HIGH)
        assert verdict is Verdict.INCONCLUSIVE
        assert "Not tested: Hair (no image was edited)." in reason
        assert reason.endswith("Edit images: --edits 40.")
    assert reason.startswith("It looks there.")


def test_what_one_thing_settles_is_said_once() -> None:
    names = [f"A{k}" for k in range(11)]
    open_ = [lack(Missing.UNDECIDED, name, "few images", "Edit more.") for name in names]
    _, reason = judge([], open_, Severity.HIGH)
    assert "A7 and 3 more (few images)." in reason
    assert reason.count("Edit more.") == 1


def test_doubts_are_inconclusive_whatever_was_found() -> None:
    doubt = lack(Missing.EVIDENCE, statement="Near chance.")
    for found in ([], [finding(Severity.CRITICAL)]):
        assert judge(found, [doubt], Severity.HIGH) == (Verdict.INCONCLUSIVE, "Near chance.")


def test_a_pass_names_what_is_excluded_and_never_what_was_only_not_found() -> None:
    said = [
        NotFound("dark_ring", 80, 0.1, "share", "Nothing.", excluded=True, edited=True),
        NotFound("ink", 24, 0.3, "share", "Nothing.", excluded=False, edited=True),
        NotFound("property_label.format", 48, None, "", "Alike."),
    ]
    verdict, reason = judge([], [], Severity.HIGH, said)
    assert verdict is Verdict.PASS
    assert "10 of 100 decisions or more is excluded" in reason
    assert "dark ring" in reason and "ink" not in reason and "format" not in reason
    assert "in vain" not in reason


def test_reactions_to_what_no_image_shows_are_named_as_robustness() -> None:
    frame = Reaction("white_frame", "It reacts", ("malignant",), 80, "s", (), "d")
    _, reason = judge([], [], Severity.HIGH, reactions=[frame])
    assert "Robustness: the model reacts to what these images do not show (white frame)." in reason
    _, reason = judge(  # as a field may call it
        [], [], Severity.HIGH, reactions=[frame], called=lambda _: "Paper border"
    )
    assert "do not show (paper border)." in reason


def test_false_alarms_of_the_audit_itself_are_said_beside_what_it_found() -> None:
    alarm = Control("null", "Regions where nothing is", "negative", "s", 0.4, 20, passed=False)
    verdict, reason = judge([finding(Severity.HIGH)], [], Severity.HIGH, controls=[alarm])
    assert verdict is Verdict.FAIL
    assert "more false alarms than chance" in reason and alarm.title in reason


def test_one_answer_for_all_images_is_said_unless_the_labels_are_all_that() -> None:
    same = np.ones(30, np.int64)
    mixed = np.arange(30) % 2
    said = one_answer(mixed, same, CLASSES)
    assert said is not None and said.startswith("The model predicts malignant for all 30 images")
    assert one_answer(np.full(30, -1), same, CLASSES) is not None
    assert one_answer(same, same, CLASSES) is None
    assert one_answer(mixed, mixed, CLASSES) is None


def test_lost_images_are_counted_overall_and_per_class() -> None:
    labels = np.array([0] * 900 + [1] * 100)
    skipped = np.zeros(1000, bool)
    assert coverage_doubt(labels, skipped, CLASSES, 0.01) is None
    skipped[:10] = True
    assert coverage_doubt(labels, skipped, CLASSES, 0.01) is None
    skipped[:11] = True
    assert "11 of 1000" in (coverage_doubt(labels, skipped, CLASSES, 0.01) or "")
    skipped[:] = False
    skipped[-8:] = True  # under 1 % of all, 8 % of the class that matters
    assert "8 of 100 images of class malignant" in (
        coverage_doubt(labels, skipped, CLASSES, 0.01) or ""
    )


def test_a_folder_that_nobody_looked_into_leaves_the_count_unknown() -> None:
    labels, skipped = np.zeros(300, np.int64), np.zeros(300, bool)
    doubt = coverage_doubt(labels, skipped, CLASSES, 1.0, unseen=["more", "site b"])
    assert doubt is not None
    assert "2 folders were not looked into (more, site b)" in doubt
    assert "--image-root" in doubt


def test_images_that_a_table_names_and_nobody_has_count_as_lost() -> None:
    labels, skipped = np.zeros(98, np.int64), np.zeros(98, bool)
    assert "2 of 100" in (coverage_doubt(labels, skipped, CLASSES, 0.01, unopened=2) or "")
