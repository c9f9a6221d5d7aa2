"""Tests of findings.json and its schema."""

import dataclasses
import json
import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from melaudit import findings as vocabulary
from melaudit.errors import StoreError
from melaudit.findings import Findings
from melaudit.reports import build_page, read_findings, schema, to_json, write_findings
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")


def check(data: Any) -> None:
    jsonschema.Draft202012Validator(schema()).validate(data)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_fits_the_schema(kind: str, records: dict[str, Record]) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    assert not list(validator.iter_errors(json.loads(to_json(records[kind].findings))))


def test_the_schema_names_every_field_of_the_vocabulary() -> None:
    definitions = schema()["$defs"]
    for key, definition in [*definitions.items(), ("findings", schema())]:
        if "properties" not in definition:
            continue
        kind = getattr(vocabulary, "".join(word.capitalize() for word in key.split("_")))
        fields = {f.name for f in dataclasses.fields(kind)}
        if key == "cluster":
            fields = fields - {"predicted"} | {"class"}
        if key == "findings":
            fields -= {"mitigations"}  # these are in a file of their own
        assert set(definition["properties"]) == fields, key
        assert set(definition["required"]) == fields, key
        assert definition["additionalProperties"] is False


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (("$defs", "severity"), vocabulary.Severity),
        (("$defs", "rung"), vocabulary.Rung),
        (("$defs", "check_status"), vocabulary.CheckStatus),
        (("properties", "verdict"), vocabulary.Verdict),
    ],
)
def test_the_schema_names_every_value(place: tuple[str, str], kind: type[StrEnum]) -> None:
    assert schema()[place[0]][place[1]]["enum"] == [v.value for v in kind]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(verdict="perhaps"),
        lambda d: d.update(surprise=1),
        lambda d: d.pop("inputs"),
        lambda d: d["findings"][0].update(severity="dire"),
        lambda d: d["findings"][0].update(confidence=1.2),
        lambda d: d["findings"][0]["evidence"][0].update(p_value="small"),
        lambda d: d["clusters"][0].update(predicted="malignant"),
        lambda d: d.update(schema_version="2.0"),
    ],
)
def test_the_schema_refuses_what_is_not_of_the_vocabulary(
    spoil: Any, records: dict[str, Record]
) -> None:
    data = json.loads(to_json(records["ring"].findings))
    spoil(data)

    with pytest.raises(jsonschema.ValidationError):
        check(data)


@pytest.mark.parametrize("kind", ["hostile", "nothing", "unusable"])
def test_findings_survive_the_round_trip(kind: str, records: dict[str, Record]) -> None:
    findings = records[kind].findings

    assert Findings.from_dict(json.loads(to_json(findings))) == findings


def test_a_file_of_an_earlier_melaudit_that_lists_no_detectors_is_read(
    records: dict[str, Record],
) -> None:
    data = json.loads(to_json(records["ring"].findings))
    del data["detectors"]

    findings = Findings.from_dict(data)

    assert findings.detectors == ()
    assert build_page(replace(records["ring"], findings=findings)).artifacts.rows


def test_an_unbounded_interval_becomes_null(records: dict[str, Record]) -> None:
    data = json.loads(to_json(records["ring"].findings))

    assert data["findings"][1]["evidence"][0]["ci_high"] is None


def test_the_same_findings_give_the_same_bytes(records: dict[str, Record], tmp_path: Path) -> None:
    findings = records["ring"].findings
    other = replace(
        findings,
        inputs=replace(findings.inputs, flagged={"b": 1, "a": 2}),
    )
    same = replace(findings, inputs=replace(findings.inputs, flagged={"a": 2, "b": 1}))
    write_findings(other, tmp_path / "one.json")
    write_findings(same, tmp_path / "two.json")

    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_hostile_names_are_written_in_ascii_and_read_back(
    records: dict[str, Record], tmp_path: Path
) -> None:
    path = tmp_path / "findings.json"
    write_findings(records["hostile"].findings, path)

    assert path.read_bytes().isascii()
    assert read_findings(path) == records["hostile"].findings


def pointed(data: Any, *keys: str | int, value: Any) -> str:
    """Return findings.json with one value in place of another."""
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("reason",), None, "reason: None is not of type 'string'"),
        (("performance", "accuracy"), float("nan"), "the number NaN"),
        (("performance", "accuracy"), -float("inf"), "the number -Infinity"),
        (("performance", "accuracy"), 1e101, "the number 1e\\+101"),
        (("inputs", "read"), 10**30, "the number 1000000"),
        (("inputs", "read"), "many", "inputs.read"),
        (("inputs", "skipped"), {"missing": -1}, "inputs.skipped"),
        (("findings",), {}, "findings"),
        (("findings", 0, "title"), 7, "title"),
        (("clusters", 0), None, "NoneType"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_with_its_place(
    keys: tuple[str | int, ...],
    value: Any,
    said: str,
    records: dict[str, Record],
    tmp_path: Path,
) -> None:
    path = tmp_path / "findings.json"
    path.write_text(pointed(json.loads(to_json(records["ring"].findings)), *keys, value=value))

    with pytest.raises(StoreError, match=said):
        read_findings(path)


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_brackets_nested_without_end_are_refused(bracket: str, tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    path.write_text(bracket * 100_000)

    with pytest.raises(StoreError, match="recursion"):
        read_findings(path)


def test_a_folder_gives_its_findings_but_none_from_elsewhere(
    records: dict[str, Record], tmp_path: Path
) -> None:
    write_findings(records["ring"].findings, tmp_path / "findings.json")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "findings.json").symlink_to(tmp_path / "findings.json")

    assert read_findings(tmp_path) == read_findings(tmp_path / "other" / "findings.json")
    with pytest.raises(StoreError, match="leads out"):
        read_findings(tmp_path / "other")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "findings.json")

    with pytest.raises(StoreError, match="a pipe"):
        read_findings(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": "7.0"}', "null"])
def test_a_file_that_is_no_findings_is_a_clear_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    path.write_text(content)

    with pytest.raises(StoreError, match=r"no findings\.json"):
        read_findings(path)


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        read_findings(tmp_path / "absent.json")
