"""JUnit XML that build servers read: its rules written out, since no standard ships a schema."""

import re
from datetime import date
from xml.etree import ElementTree

import pytest

from melaudit.gate import Outcome, judge
from melaudit.policy import Coverage, Policy, Required, Waiver
from melaudit.reports import to_junit
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")
TODAY = date(2026, 11, 25)

POLICY = Policy(
    findings=("dark_ring*", "<img onerror>", "{{7*7}}", "=cmd|' /C calc'!A0"),
    coverage=Coverage(max_skipped=0.01, min_images=100_000, detectors=("dark\x1b[31mring",)),
    performance=Required(accuracy=0.8, recall={"a\u202eb\n<x>": 0.5}),
    waivers=(Waiver("x\x07y", "owner]]>", "reason & more", date(2026, 1, 1)),),
)

# What the schema of Jenkins' xUnit plug-in (junit-10) allows, of what is used here.
REQUIRED = {
    "testsuites": set[str](),
    "testsuite": {"name", "tests", "failures", "errors"},
    "testcase": {"name"},
}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "timestamp", "time", "id"},
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "system-out": set[str](),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase", "properties", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
    "failure": set[str](),
    "error": set[str](),
    "system-out": set[str](),
}


def valid(element: ElementTree.Element) -> None:
    tag = element.tag
    assert REQUIRED.get(tag, set()) <= set(element.attrib) <= ALLOWED[tag]
    assert {child.tag for child in element} <= CHILDREN[tag]
    for child in element:
        valid(child)


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_rules_and_counts_its_cases(kind: str, records: dict[str, Record]) -> None:
    findings = records[kind].findings
    gate = judge(findings, POLICY, today=TODAY)
    root = ElementTree.fromstring(to_junit(findings, gate))
    valid(root)
    suite = root[0]
    cases = suite.findall("testcase")
    assert len(cases) == len(gate.rules) == int(suite.attrib["tests"])
    assert len(suite.findall("testcase/failure")) == int(suite.attrib["failures"])
    assert len(suite.findall("testcase/error")) == int(suite.attrib["errors"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])


def test_a_rule_that_cannot_be_decided_is_an_error_and_a_broken_one_a_failure(
    records: dict[str, Record],
) -> None:
    findings = records["ring"].findings
    gate = judge(findings, POLICY, today=TODAY)
    root = ElementTree.fromstring(to_junit(findings, gate))
    outcomes = {
        Outcome.FAIL: "failure",
        Outcome.INCONCLUSIVE: "error",
        Outcome.PASS: "system-out",
    }
    told = [case[0].tag for case in root.iter("testcase")]
    assert told == [outcomes[rule.outcome] for rule in gate.rules]
    assert set(told) == set(outcomes.values())


def test_what_xml_cannot_hold_is_shown_as_its_code(records: dict[str, Record]) -> None:
    findings = records["hostile"].findings
    text = to_junit(findings, judge(findings, POLICY, today=TODAY))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert "\u27e8U+001B\u27e9" in text
