"""Tests of the first screen."""

from dataclasses import replace

from melaudit.findings import Verdict
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page


def test_the_first_screen_says_the_verdict_about_the_model_in_counts(
    pages: dict[str, Page],
) -> None:
    summary = pages["ring"].summary

    assert (summary.kind, summary.word) == ("fail", "Fail")
    assert summary.headline == "This model decides by the black ring of the dermatoscope."
    assert summary.lead.startswith("Painting a black ring on 150 ring-free benign images")
    assert [(f.label, f.value, f.note) for f in summary.facts] == [
        ("Relevance maps", "Trusted", "4 of 4\u00a0checks passed"),
        ("Findings", "1\u00a0critical \u00b7 1\u00a0medium", "2 more looked for, not found"),
        ("Images read", "1,000", "0 skipped, 2 flagged"),
        ("Accuracy", "90.9\u00a0%", "88.9 to 92.6\u00a0%, n\u00a0=\u00a01,000"),
    ]


def test_the_first_screen_lists_findings_with_their_ladder(pages: dict[str, Page]) -> None:
    first, second = pages["ring"].summary.rows

    assert (first.number, first.link, first.severity) == (1, "finding-1", "critical")
    assert [s.state for s in first.steps] == ["reached"] * 4
    assert [(s.rung, s.word) for s in second.steps] == [
        ("opportunity", "not tested"),
        ("attention", "reached"),
        ("dependence", "not reached"),
        ("harm", "not tested"),
    ]


def test_a_reason_that_is_a_findings_claim_stands_under_its_title(
    records: dict[str, Record],
) -> None:
    record = records["ring"]
    claim = record.findings.findings[0].statement
    page = build_page(replace(record, findings=replace(record.findings, reason=claim)))

    assert page.summary.headline == "Black ring of the dermatoscope."
    assert page.summary.lead == claim


def test_a_bare_reason_is_backed_by_the_strongest_evidence(records: dict[str, Record]) -> None:
    record = records["ring"]
    page = build_page(replace(record, findings=replace(record.findings, reason="It fails.")))

    assert page.summary.headline == "It fails."
    assert page.summary.lead.startswith("Of 1000 healthy patients")


def test_nothing_found_says_what_would_have_been_seen(pages: dict[str, Page]) -> None:
    summary = pages["nothing"].summary

    assert summary.kind == Verdict.PASS
    assert summary.nothing[0].startswith("An effect of 9 points or more would have been seen")
    assert not summary.rows
    assert pages["ring"].summary.nothing == ()
