"""The bill of materials, held against the schema of CycloneDX 1.6."""

import importlib.metadata
import json
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from melaudit.reports import to_bom
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    """Return a validator with the schemas that the package cyclonedx-python-lib ships."""
    files = importlib.metadata.files("cyclonedx-python-lib") or []

    def load(name: str) -> Any:
        return json.loads(next(f for f in files if f.name == name).read_text())

    names = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    registry: Registry[Any] = Registry()
    for schema in map(load, names):
        registry = registry.with_resource(
            schema["$id"], Resource.from_contents(schema, default_specification=DRAFT7)
        )
    return Draft7Validator(
        load("bom-1.6.SNAPSHOT.schema.json"),
        registry=registry,
        format_checker=Draft7Validator.FORMAT_CHECKER,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_accepts_it(
    kind: str, records: dict[str, Record], validator: Draft7Validator
) -> None:
    assert not list(validator.iter_errors(json.loads(to_bom(records[kind].findings))))


def test_the_schema_refuses_what_is_wrong(
    records: dict[str, Record], validator: Draft7Validator
) -> None:
    document = json.loads(to_bom(records["ring"].findings))
    document["metadata"]["component"]["modelCard"]["verdict"] = "fail"
    assert not validator.is_valid(document)


def test_the_model_card_section_holds_performance_risks_and_limits(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    component = json.loads(to_bom(findings))["metadata"]["component"]
    assert component["type"] == "machine-learning-model"
    assert component["hashes"] == [{"alg": "SHA-256", "content": "9f" * 32}]
    card = component["modelCard"]
    accuracy = card["quantitativeAnalysis"]["performanceMetrics"][0]
    assert accuracy == {
        "type": "accuracy",
        "value": "0.9090",
        "confidenceInterval": {"lowerBound": "0.8890", "upperBound": "0.9260"},
    }
    risks = card["considerations"]["ethicalConsiderations"]
    assert [r["mitigationStrategy"] for r in risks] == [f.remedy for f in findings.findings]
    assert any("rulers (n 64)" in line for line in card["considerations"]["technicalLimitations"])


def test_references_are_unique_and_resolve(records: dict[str, Record]) -> None:
    document = json.loads(to_bom(records["ring"].findings))
    parts = [document["metadata"]["component"], *document["components"]]
    names = [part["bom-ref"] for part in parts]
    assert len(set(names)) == len(names)
    for dependency in document["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= set(names)


def test_the_same_audit_gives_the_same_bytes(records: dict[str, Record]) -> None:
    assert to_bom(records["ring"].findings) == to_bom(records["ring"].findings)
