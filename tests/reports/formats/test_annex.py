"""The annex for a technical file."""

from dataclasses import replace
from datetime import date

import pytest

from melaudit.findings import NotFound, Rung
from melaudit.gate import judge
from melaudit.policy import Policy, Waiver
from melaudit.reports import to_annex
from melaudit.reports.formats.regulation import DISCLAIMER, QUESTIONS
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")


def entry(text: str, number: int) -> str:
    """Return the lines of one finding."""
    return text.split(f"### R{number}. ")[1].split("\n#")[0]


def test_each_finding_is_hazard_cause_evidence_and_residual_risk(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    text = to_annex(findings)
    for number, finding in enumerate(findings.findings, 1):
        told = entry(text, number)
        for word in (
            "Failure",
            "Effect",
            "Evidence",
            "Detectability",
            "Does not show",
            "Risk control",
            "Residual risk",
        ):
            assert f"**{word}**" in told
        assert finding.title in told
        for piece in finding.evidence:
            assert piece.statement in told
    assert "Not tested for this finding: opportunity, harm" in entry(text, 2)


def test_a_waiver_stands_beside_its_finding(records: dict[str, Record]) -> None:
    findings = records["ring"].findings
    waiver = Waiver("dark_ring*", "A. Author", "mended in the next version", date(2027, 1, 1))
    gate = judge(findings, Policy(waivers=(waiver,)), today=date(2026, 11, 25))
    text = to_annex(findings, gate)
    assert "Accepted until 2027-01-01 by A. Author: mended in the next version" in entry(text, 1)
    assert "nobody has accepted it" in entry(text, 2)


def test_the_questions_are_help_and_not_legal_advice(records: dict[str, Record]) -> None:
    text = to_annex(records["ring"].findings)
    assert DISCLAIMER in text and "not legal advice" in DISCLAIMER
    for source in ("GMLP", "AI Act, Art. 15", "AI Act, Annex IV", "CLEAR Derm"):
        assert any(q.source.startswith(source) for q in QUESTIONS)
        assert source in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_question_is_answered_from_the_audit(kind: str, records: dict[str, Record]) -> None:
    for question in QUESTIONS:
        assert question.answer(records[kind].findings)


def test_the_artifacts_of_the_data_are_those_that_detectors_of_artifacts_looked_for(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    told = replace(
        findings, not_found=(*findings.not_found, NotFound("near_duplicates", 9, None, "", "No."))
    )
    answer = next(q.answer for q in QUESTIONS if q.source == "CLEAR Derm, data")

    assert answer(told) == (
        "Findings about: Black ring of the dermatoscope. "
        "Looked for, without a finding: Ruler or scale; Surgical marker ink."
    )


def test_what_was_not_measured_is_said(records: dict[str, Record]) -> None:
    findings = records["ring"].findings
    first = findings.findings[0]
    bare = replace(first, evidence=first.evidence[:1], rung=Rung.OPPORTUNITY)
    text = to_annex(replace(findings, findings=(bare,)))
    assert "Not measured: this audit has no figure of dependence." in text
    assert "Not measured: the images had no labels." in to_annex(records["unlabelled"].findings)


def test_the_tests_of_the_audit_itself_stand_in_the_annex(records: dict[str, Record]) -> None:
    findings = records["ring"].findings
    text = to_annex(findings)
    assert "## Tests of the audit itself" in text
    assert "| A planted mark | failed | 20 | It was missed. |" in text
    assert "Tests of the audit itself" not in to_annex(replace(findings, controls=()))


def test_hostile_names_do_nothing(records: dict[str, Record]) -> None:
    text = to_annex(records["hostile"].findings)
    assert "<" not in text.replace("<!-- -->", "") and "{{" not in text
    assert all(c.isprintable() or c in "\n\u00a0" for c in text)
