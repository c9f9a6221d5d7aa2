"""Tests of the table of artifacts."""

from dataclasses import replace

from melaudit.findings import NotFound, Skipped
from melaudit.reports.interface import Record
from melaudit.reports.page import Page
from melaudit.reports.sections.artifacts import artifacts


def test_every_artifact_that_was_looked_for_has_a_row(pages: dict[str, Page]) -> None:
    rows = pages["ring"].artifacts.rows

    assert [(r.artifact, r.state) for r in rows] == [
        ("Dark ring", "found"),
        ("Ruler", "absent"),
        ("Ink", "absent"),
        ("Text", "untested"),
    ]


def test_a_found_artifact_gives_its_association_and_its_rungs(pages: dict[str, Page]) -> None:
    ring = pages["ring"].artifacts.rows[0]

    assert (ring.opportunity, ring.interval, ring.n) == ("349", "57.3 to 14,100", "1,000")
    assert (ring.link, ring.outcome, ring.least) == ("finding-1", "critical: it costs", "")
    assert [s.state for s in ring.steps] == ["reached"] * 4
    assert ring.chart is not None and ring.chart.reference_label == "1"


def test_an_absent_artifact_gives_what_would_have_been_seen(pages: dict[str, Page]) -> None:
    ruler, ink = pages["ring"].artifacts.rows[1:3]

    assert (ruler.least, ruler.measured) == ("0.09", "change in the share called malignant")
    assert ink.least == "\u2013"


def test_an_artifact_has_one_row_and_what_was_found_of_it_comes_first(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    twice = replace(
        findings,
        findings=(*findings.findings, replace(findings.findings[0], id="dark_ring.second")),
        not_found=(NotFound("dark_ring", 9, 2.0, "odds ratio", "None."),),
        skipped=(Skipped("dark_ring", "no"), Skipped("faithfulness", "not an artifact")),
    )

    (row,) = artifacts(twice, 3).rows

    assert (row.state, row.link) == ("found", "finding-1")


def test_a_finding_without_an_opportunity_has_a_dash(records: dict[str, Record]) -> None:
    findings = records["ring"].findings
    first = findings.findings[0]
    later = replace(first, evidence=first.evidence[1:])

    row = artifacts(replace(findings, findings=(later,)), 0).rows[0]

    assert (row.opportunity, row.link, row.chart) == ("\u2013", "", None)
    assert row.steps[0].state == "untested"
