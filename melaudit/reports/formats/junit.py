"""junit.xml: one test case per rule of a gate, for the test page of a build server.

There is no single standard. This file keeps to what the schema of Jenkins' xUnit plug-in (junit-10)
and other build servers agree on. A rule that cannot be decided is an
error, not a failure: nothing was found to be wrong, but nothing was shown to be right.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from melaudit.findings import Findings
from melaudit.gate import GateResult, Outcome, Rule
from melaudit.reports.formats.interface import Format
from melaudit.wording.figures import NBSP
from melaudit.wording.names import visible_as_code_points

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(findings: Findings, gate: GateResult) -> str:
    """Return a gate's result as the text of a JUnit XML file."""
    counts = {o: sum(r.outcome is o for r in gate.rules) for o in Outcome}
    totals: dict[str, Any] = {
        "tests": str(len(gate.rules)),
        "failures": str(counts[Outcome.FAIL]),
        "errors": str(counts[Outcome.INCONCLUSIVE]),
    }
    root = ElementTree.Element("testsuites", name="melaudit", **totals)
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_text(f"melaudit gate of {findings.provenance.model}"),
        timestamp=_text(findings.provenance.started[:19]),
        skipped="0",
        **totals,
    )
    for rule in gate.rules:
        _case(suite, rule)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, rule: Rule) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", name=_text(f"{rule.title} ({rule.id})"), classname="melaudit.gate"
    )
    if rule.outcome is Outcome.PASS:
        ElementTree.SubElement(case, "system-out").text = _text(rule.statement)
        return
    kind = "failure" if rule.outcome is Outcome.FAIL else "error"
    problem = ElementTree.SubElement(
        case, kind, message=_text(rule.statement), type=rule.outcome.value
    )
    problem.text = _text("\n".join([rule.statement, *(f"finding {i}" for i in rule.findings)]))


def _text(text: str) -> str:
    """Return a text that XML can hold: hidden characters as code points, line ends as they are."""
    lines = [visible_as_code_points(line).replace(NBSP, " ") for line in text.split("\n")]
    return _NOT_XML.sub("\ufffd", "\n".join(lines))


JUNIT = Format(
    id="junit",
    file="junit.xml",
    about="JUnit XML, one test case per rule of the gate",
    render=to_junit,
)
