"""What an audit does not show is said once each."""

from __future__ import annotations

from dataclasses import replace

from melaudit.findings import Skipped
from melaudit.reports.page.sections.limits import does_not_show
from tests.reports.made_up_findings import findings


def test_a_detector_that_was_skipped_twice_is_named_once() -> None:
    skipped = tuple(Skipped(name, "too few") for name in ("clusters", "drift", "clusters"))
    told = does_not_show(replace(findings(), skipped=skipped))
    (named,) = [sentence for sentence in told if "could not be tested here" in sentence]
    assert named.endswith("here: clusters, drift.")
