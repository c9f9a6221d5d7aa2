"""Tests of the table of artifacts."""

from dataclasses import replace

import pytest

from melaudit.findings import DetectorInfo, Findings, NotFound, Skipped, Subject
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page
from melaudit.reports.page.sections.artifacts import Least, artifacts


def test_every_artifact_that_was_looked_for_has_a_row(pages: dict[str, Page]) -> None:
    rows = pages["ring"].artifacts.rows

    assert [(r.artifact, r.state) for r in rows] == [
        ("Black ring of the dermatoscope", "found"),
        ("Ruler or scale", "unclear"),
        ("Surgical marker ink", "unclear"),
        ("Lettering in the picture", "untested"),
    ]


def test_a_found_artifact_gives_its_association_and_its_rungs(pages: dict[str, Page]) -> None:
    ring = pages["ring"].artifacts.rows[0]

    assert (ring.opportunity, ring.interval, ring.n) == ("349", "57.3 to 14,100", "1,000")
    assert (ring.link, ring.outcome, ring.least) == ("finding-1", "critical: it costs", ())
    assert [s.state for s in ring.steps] == ["reached"] * 4
    assert ring.chart is not None and ring.chart.reference_label == "1"


def test_an_absent_artifact_gives_what_would_have_been_seen(pages: dict[str, Page]) -> None:
    ruler, ink = pages["ring"].artifacts.rows[1:3]

    assert ruler.least == (Least("9.0\u00a0%", "change in the share predicted malignant", "64"),)
    assert ink.least == ()


def test_all_tests_of_an_absent_artifact_share_a_row_and_what_is_none_has_no_row(
    records: dict[str, Record],
) -> None:
    told = (
        NotFound("hair", 240, 2.25, "odds ratio", "68 show hairs; a ratio of 2 would be seen."),
        NotFound("hair", 10, 0.6, "change", "Put in: nothing."),
        NotFound("hair", 32, 0.2, "change", "Taken out: nothing."),
        NotFound("property_label.colour", 240, 0.65, "area", "No class stands out."),
        NotFound("near_duplicates", 240, None, "", "None."),
        NotFound("clusters.benign", 240, None, "", "None."),
    )

    (row,) = artifacts(replace(records["ring"].findings, findings=(), not_found=told), {}).rows[:-1]

    assert row.outcome == "68 show hairs. 2\u00a0further tests found nothing."
    assert row.least == (Least("2.25", "odds ratio", "240"), Least("0.2", "change", "32"))


@pytest.mark.parametrize(
    ("excluded", "word"),
    [
        ((True,), "excluded"),
        ((None, True), "excluded"),
        ((True, False), "could not tell"),
        ((None,), "could not tell"),
    ],
)
def test_only_an_effect_that_is_ruled_out_is_excluded(
    records: dict[str, Record], excluded: tuple[bool | None, ...], word: str
) -> None:
    missed = tuple(NotFound("hair", 40, 0.1, "change", "None.", excluded=e) for e in excluded)
    findings = replace(records["ring"].findings, findings=(), not_found=missed, skipped=())

    (row,) = artifacts(findings, {}).rows

    assert row.word == word


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

    (row,) = artifacts(twice, {"dark_ring.malignant": "finding-1"}).rows

    assert (row.state, row.link) == ("found", "finding-1")


def with_detector(findings: Findings, subject: Subject) -> Findings:
    """Return findings of a run in which a third party's detector took part."""
    detector = DetectorInfo("clinic_stamp", "Stamp of the clinic", subject, "", "")
    return replace(findings, detectors=(*findings.detectors, detector))


@pytest.mark.parametrize(
    ("state", "named"),
    [("found", "clinic_stamp"), ("found", None), ("absent", ""), ("untested", "")],
)
def test_a_third_partys_artifact_has_a_row_whatever_came_of_it(
    records: dict[str, Record], state: str, named: str | None
) -> None:
    findings = with_detector(records["ring"].findings, Subject.ARTIFACT)
    finding = replace(
        findings.findings[0], id="clinic_stamp", detector="clinic_stamp", artifact=named
    )
    told = replace(
        findings,
        findings=(finding,) if state == "found" else (),
        not_found=(NotFound("clinic_stamp", 9, None, "", "No."),) if state == "absent" else (),
        skipped=(Skipped("clinic_stamp", "too few"),) if state == "untested" else (),
    )

    (row,) = artifacts(told, {}).rows

    assert row.artifact == "Stamp of the clinic"
    assert row.state == {"absent": "unclear"}.get(state, state)


def test_a_third_partys_detector_of_anything_else_has_no_row(records: dict[str, Record]) -> None:
    findings = with_detector(records["ring"].findings, Subject.MODEL)
    finding = replace(findings.findings[0], detector="clinic_stamp", artifact="something")
    told = replace(
        findings,
        findings=(finding, replace(finding, artifact=None)),
        not_found=(
            NotFound("clinic_stamp", 9, None, "", "No."),
            NotFound("clinic_stamp.left", 9, None, "", "No."),
        ),
        skipped=(Skipped("clinic_stamp", "too few"),),
    )

    assert artifacts(told, {}).rows == ()


def test_another_detectors_finding_about_a_known_artifact_is_in_its_row(
    records: dict[str, Record],
) -> None:
    findings = with_detector(records["ring"].findings, Subject.MODEL)
    finding = replace(findings.findings[0], detector="clinic_stamp", artifact="ruler")

    row = artifacts(replace(findings, findings=(finding,)), {}).rows[0]

    assert (row.artifact, row.state) == ("Ruler or scale", "found")


def test_several_results_of_one_detector_of_artifacts_are_told_apart(
    records: dict[str, Record],
) -> None:
    findings = with_detector(records["ring"].findings, Subject.ARTIFACT)
    told = replace(
        findings,
        findings=(),
        not_found=(NotFound("clinic_stamp.blue_ink", 9, None, "", "No."),),
        skipped=(Skipped("clinic_stamp.red", "too few"),),
    )

    assert [r.artifact for r in artifacts(told, {}).rows] == [
        "Stamp of the clinic: blue ink",
        "Stamp of the clinic: red",
    ]


def test_an_audit_that_lists_no_detectors_shows_the_artifacts_that_were_found(
    records: dict[str, Record],
) -> None:
    section = artifacts(replace(records["ring"].findings, detectors=()), {})

    assert [(r.artifact, r.state) for r in section.rows] == [("Dark ring", "found")]
    assert "does not say which of its detectors look for artifacts" in section.note


def test_a_finding_without_an_opportunity_has_a_dash(records: dict[str, Record]) -> None:
    findings = records["ring"].findings
    first = findings.findings[0]
    later = replace(first, evidence=first.evidence[1:])

    row = artifacts(replace(findings, findings=(later,)), {}).rows[0]

    assert (row.opportunity, row.link, row.chart) == ("\u2013", "", None)
    assert row.steps[0].state == "untested"
