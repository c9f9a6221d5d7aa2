"""mitigation.json beside an audit: read with it, and only where it is about the same audit."""

import dataclasses
from pathlib import Path

import pytest

from melaudit.errors import StoreError
from melaudit.findings import Method
from melaudit.reports import read_findings, to_annex, write_findings
from melaudit.reports.formats.mitigation_file import (
    NAME,
    add_mitigation,
    read_mitigations,
    to_mitigation_json,
)
from tests.reports.made_up_findings import findings
from tests.reports.made_up_mitigation import mitigated


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    made = mitigated()
    assert add_mitigation(tmp_path, made) == (made,)
    assert read_mitigations(tmp_path) == (made,)


def test_a_later_mitigation_by_the_same_method_takes_the_place_of_the_first(tmp_path: Path) -> None:
    first, other = mitigated(), dataclasses.replace(mitigated(), method=Method.PROJECT)
    later = dataclasses.replace(first, seconds=5.0)
    for each in (first, other, later):
        add_mitigation(tmp_path, each)
    assert read_mitigations(tmp_path) == (other, later)


def test_an_audit_is_read_with_what_was_done_about_it(tmp_path: Path) -> None:
    write_findings(findings(), tmp_path / "findings.json")
    written = (tmp_path / "findings.json").read_bytes()
    add_mitigation(tmp_path, mitigated())
    assert read_findings(tmp_path).mitigations == (mitigated(),)
    write_findings(read_findings(tmp_path), tmp_path / "findings.json")
    assert (tmp_path / "findings.json").read_bytes() == written


def test_a_mitigation_of_another_model_is_passed_over(tmp_path: Path) -> None:
    write_findings(findings(), tmp_path / "findings.json")
    add_mitigation(tmp_path, dataclasses.replace(mitigated(), model_sha256="0" * 64))
    assert read_findings(tmp_path).mitigations == ()


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": "9.0", "mitigations": []}', "{"])
def test_a_broken_file_is_told_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(StoreError, match="remove it, or run the mitigation again"):
        read_mitigations(tmp_path)


def test_the_same_mitigation_gives_the_same_bytes() -> None:
    assert to_mitigation_json([mitigated()]) == to_mitigation_json([mitigated()])


def test_the_annex_fills_in_the_risk_control() -> None:
    before = to_annex(findings())
    after = to_annex(dataclasses.replace(findings(), mitigations=(mitigated(),)))
    assert "`melaudit mitigate audit --finding dark_ring.malignant`" in before
    assert "fixed.safetensors, SHA-256 abab" in after
    assert "Reduced at a cost." in after
    assert "20 of 1,000 decisions turn with it beyond the placebo" in after
