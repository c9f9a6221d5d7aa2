"""The verdict: doubts first, then findings; never a pass on less than the declared coverage."""

import numpy as np
import pytest

from melaudit.audit.conclude.verdict import coverage_doubt, judge
from melaudit.findings import Finding, Rung, Severity, Trust, Verdict

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
def test_the_worst_finding_decides(
    severities: list[Severity], fail_on: Severity, expected: Verdict
) -> None:
    found = [finding(s) for s in severities]
    verdict, reason = judge(found, Trust.TRUSTED, [], fail_on, {})
    assert verdict is expected
    assert (reason == "It looks there.") == (expected in (Verdict.FAIL, Verdict.WARN))


def test_doubts_and_unusable_maps_are_inconclusive_whatever_was_found() -> None:
    for found in ([], [finding(Severity.CRITICAL)]):
        assert judge(found, Trust.TRUSTED, ["Near chance."], Severity.HIGH, {}) == (
            Verdict.INCONCLUSIVE,
            "Near chance.",
        )
        verdict, _ = judge(found, Trust.UNUSABLE, [], Severity.HIGH, {})
        assert verdict is Verdict.INCONCLUSIVE


def test_a_pass_says_what_was_looked_for() -> None:
    sought = {"dark_ring": 300, "property_label.format": 48}
    _, reason = judge([], Trust.TRUSTED, [], Severity.HIGH, sought)
    assert "dark ring (n 300), property label: format (n 48)" in reason


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
