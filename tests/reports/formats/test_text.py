"""Tests of the audit in a few lines."""

from melaudit.reports import summary
from melaudit.reports.interface import Record


def test_the_summary_says_what_was_found(records: dict[str, Record]) -> None:
    lines = summary(records["ring"].findings).splitlines()

    assert lines[0] == records["ring"].findings.reason
    assert "Maps: trusted (4 of 4 checks passed)" in lines
    assert f"Maps made by: {records['ring'].findings.explanations.engine}" in lines
    assert "Findings: 1 critical \u00b7 1 medium; 2 looked for and not found" in lines
    assert (
        "  critical  harm  Black ring of the dermatoscope  specificity lost \u22120.913 "
        "(\u22120.95 to \u22120.86)" in lines
    )
    assert "Images: 1,000 read, 0 skipped" in lines
    assert "Accuracy: 90.9 % (95 % interval 88.9 to 92.6 %)" in lines
    assert "Controls of the audit: 1 of 2 passed; failed: A planted mark" in lines


def test_the_summary_names_the_checks_that_failed(records: dict[str, Record]) -> None:
    text = summary(records["unusable"].findings)

    assert "Maps: unusable (2 of 4 checks passed): conservation, channel_uniformity" in text


def test_the_summary_of_unlabelled_images_says_so(records: dict[str, Record]) -> None:
    assert "Accuracy: unknown" in summary(records["unlabelled"].findings)


def test_no_control_character_reaches_the_terminal(records: dict[str, Record]) -> None:
    text = summary(records["hostile"].findings)

    assert all(c.isprintable() or c == "\n" for c in text)
    assert "U+001B" in text


def test_many_findings_are_counted_not_listed(records: dict[str, Record]) -> None:
    text = summary(records["crowd"].findings)

    assert "and 32 more" in text
    assert len(text.splitlines()) < 25
