"""Tests of the section on robustness and of the list of tests."""

from dataclasses import replace

from melaudit.findings import Counts, Reaction, Test
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render


def test_a_reaction_has_its_own_section_and_its_row_among_the_artifacts(
    records: dict[str, Record],
) -> None:
    record = records["ring"]
    evidence = replace(
        record.findings.findings[0].evidence[2],
        counts=Counts("frame-free images", 118, "malignant", 12, 56, "a white frame put in"),
    )
    reaction = Reaction(
        "ruler", "Reacts to rulers", ("malignant",), 118, "It reacts.", (evidence,), "Much."
    )
    findings = replace(record.findings, reactions=(reaction,))

    page = build_page(replace(record, findings=findings))
    html = render(page)

    (card,) = page.reactions
    assert card.sentence == (
        "Of 118 frame-free images, the model predicts malignant for 12; "
        "with a white frame put in, for 56."
    )
    row = next(r for r in page.artifacts.rows if r.artifact == "Ruler or scale")
    assert (row.state, row.link) == ("reaction", "reactions")
    assert html.index('<section id="findings"') < html.index('<section id="reactions"')
    assert evidence.statement in html
    assert 'id="reactions"' not in render(build_page(record))


def test_every_test_of_the_run_is_listed_the_smallest_p_first(records: dict[str, Record]) -> None:
    record = records["ring"]
    told = (
        Test("ruler", "odds ratio", 64, 0.4, 0.5),
        Test("dark_ring.malignant", "odds ratio", 1000, 0.001, 0.002),
    )

    page = build_page(replace(record, findings=replace(record.findings, tests=told)))

    heads, first, second = (line.split() for line in page.tests.lines)
    assert heads[:4] == ["p", "q", "n", "claim"]
    assert first[:4] == ["0.001", "0.002", "1,000", "dark_ring.malignant"]
    assert second[3] == "ruler"
    assert page.tests.title == "2\u00a0tests, 1 with q below 0.05"
