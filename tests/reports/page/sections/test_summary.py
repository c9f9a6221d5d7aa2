"""Tests of the first screen."""

from dataclasses import replace

from melaudit.findings import Counts, Rung, Severity, Verdict
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
        ("Findings", "1\u00a0critical \u00b7 1\u00a0medium", "2\u00a0tests found nothing"),
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


def test_a_bare_reason_is_backed_by_the_claim(records: dict[str, Record]) -> None:
    record = records["ring"]
    page = build_page(replace(record, findings=replace(record.findings, reason="It fails.")))

    assert page.summary.headline == "It fails."
    assert page.summary.lead == record.findings.findings[0].statement


def test_the_first_screen_says_it_in_natural_frequencies_with_a_pair_of_pictures(
    records: dict[str, Record],
) -> None:
    record = records["ring"]
    first, second = record.findings.findings
    counts = Counts("benign images", 40, "malignant", 4, 39, "a black ring put in")
    harm = replace(first.evidence[3], counts=counts)
    small = replace(first.evidence[2], counts=replace(counts, after=8))
    unproved = replace(harm, reached=False, counts=replace(counts, before=0, after=40))
    found = replace(first, evidence=(*first.evidence[:2], unproved, small, harm))
    findings = replace(record.findings, findings=(found, second))

    summary = build_page(replace(record, findings=findings)).summary

    assert summary.lead == (
        "Of 40 benign images, the model predicts malignant for 4; with a black ring put in, for 39."
    )
    assert summary.pair is not None
    assert [v.chance for v in summary.pair.versions] == ["4\u00a0%", ">\u00a099\u00a0%"]
    assert [question for question, _ in summary.answers] == [
        "What to do now",
        "How sure",
        "Limits of its use",
        "What was audited",
    ]
    assert summary.answers[0][1] == first.remedy


def test_an_inconclusive_audit_shows_no_finding_as_its_verdict(records: dict[str, Record]) -> None:
    record = records["ring"]
    reason = "20 of 40 images could not be used. Mend these files."
    findings = replace(record.findings, verdict=Verdict.INCONCLUSIVE, reason=reason)

    summary = build_page(replace(record, findings=findings)).summary

    assert summary.headline == "20 of 40 images could not be used."
    assert summary.lead == "Mend these files."
    assert summary.pair is None
    assert "What to do now" not in dict(summary.answers)


def test_what_only_the_data_show_is_counted_apart(records: dict[str, Record]) -> None:
    record = records["ring"]
    first, second = record.findings.findings
    only = replace(first, id="light", rung=Rung.OPPORTUNITY, severity=Severity.LOW)
    findings = replace(record.findings, findings=(second, only))

    page = build_page(replace(record, findings=findings))

    assert [r.title for r in page.summary.rows] == [second.title]
    assert page.summary.in_data.startswith("1\u00a0thing in the data")
    assert page.summary.facts[1].note.startswith("1 more in the data alone")
    assert [r.id for r in page.in_data.rows] == ["light"]
    assert [c.id for c in page.cards.cards] == [second.id]


def test_nothing_found_says_what_would_have_been_seen(pages: dict[str, Page]) -> None:
    summary = pages["nothing"].summary

    assert summary.kind == Verdict.PASS
    assert summary.nothing[0].startswith("An effect of 9 points or more would have been seen")
    assert not summary.rows
    assert pages["ring"].summary.nothing == ()
