"""The findings as a Python user holds them."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import melaudit
from melaudit.errors import ConfigurationError, StoreError
from melaudit.reports import render_report, schema, write_findings, write_record
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.json_file import read_findings
from melaudit.reports.formats.registry import FORMATS
from melaudit.result import Audit
from tests.reports.made_up_record import record
from tests.reports.made_up_variants import nothing_found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output folder such as a run leaves."""
    out = tmp_path_factory.mktemp("audit")
    made = record()
    write_findings(made.findings, out / "findings.json")
    write_record(made, out / "record.zip")
    return out


@pytest.fixture
def audit(folder: Path) -> Audit:
    return melaudit.load(folder)


def test_an_audit_is_findings_and_its_file_fits_the_schema(audit: Audit) -> None:
    assert isinstance(audit, melaudit.Findings)
    assert audit.verdict is melaudit.Verdict.FAIL
    document = json.loads(audit.render("json"))
    jsonschema.validate(document, schema())


def test_its_tables_hold_every_finding_and_every_piece_of_evidence(audit: Audit) -> None:
    findings, evidence = audit.to_pandas()
    assert list(findings.index) == [f.id for f in audit.findings]
    assert len(evidence) == sum(len(f.evidence) for f in audit.findings) == 6
    ring = evidence[evidence["finding"] == "dark_ring.malignant"]
    assert ring.loc[ring["rung"] == "dependence", "estimate"].item() == 0.807


def test_tables_of_an_audit_without_findings_have_their_columns() -> None:
    findings, evidence = Audit.of(nothing_found().findings).to_pandas()
    assert len(findings) == len(evidence) == 0
    assert "severity" in findings and "ci_low" in evidence


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.id)
def test_every_format_is_rendered_without_the_pictures(form: Format) -> None:
    text = Audit.of(record().findings).render(form.id)
    assert "dark_ring" in text or "ring" in text


def test_html_is_drawn_from_the_folder_also_for_sharing(audit: Audit, folder: Path) -> None:
    made = record()
    again = melaudit.load(folder).render("html")
    assert again == render_report(replace(made, findings=read_findings(folder / "findings.json")))
    assert "shows no images" in audit.render("html", sharing="no-images")


def test_what_cannot_be_rendered_says_what_can(audit: Audit) -> None:
    with pytest.raises(ConfigurationError, match="expected one of html, json"):
        audit.render("pdf")
    with pytest.raises(ConfigurationError, match="expected one of full, blur"):
        audit.render("html", sharing="some")
    with pytest.raises(ConfigurationError, match="has no folder"):
        Audit.of(record().findings).render("html")
    with pytest.raises(StoreError, match="cannot read no-such-folder"):
        melaudit.load("no-such-folder")


def test_it_shows_itself_in_a_notebook_and_holds_itself_against_a_policy(audit: Audit) -> None:
    assert "Black ring of the dermatoscope" in audit._repr_html_()
    assert audit.gate().outcome.value == "fail"
    assert audit.gate(baseline=audit).outcome.value == "fail"  # its intended use's limits stay
    free = Audit.of(replace(record().findings, intended_use=None))
    assert free.gate(baseline=free).outcome.value == "pass"
