"""A severity is one word for the same rungs in whatever an audit writes."""

import csv
import html
import io
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from melaudit.findings import Evidence, Finding, Findings, Mitigation, Rung, Severity, severity_of
from melaudit.gate import GateResult, judge
from melaudit.policy import Policy
from melaudit.reports import build_page, compare, render_comparison, render_report
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.registry import FORMATS
from melaudit.reports.formats.sarif import LEVELS
from melaudit.wording import terms
from tests.reports.made_up_variants import VARIANTS

DOCS = Path(__file__).parents[2] / "docs" / "evidence.md"
WORDS = "|".join(Severity)


def by_hand(reached: set[Rung], tested: set[Rung]) -> str:
    """Return the severity as docs/evidence.md tells it, read off its table."""
    cells = [line.strip("| ").split(" | ") for line in DOCS.read_text("utf-8").splitlines()]
    table = {row[0]: row[1:] for row in cells if len(row) == 3}
    highest = max(reached - {Rung.OPPORTUNITY}, key=lambda r: r.rank, default=None)
    if highest is None:
        return table["nothing else"][0]
    use = "tested and not seen" if Rung.DEPENDENCE in tested else "not tested"
    row = f"attention, use {use}" if highest is Rung.ATTENTION else highest.value
    return table[row][0 if Rung.OPPORTUNITY in reached else 1]


def made_up(number: int, reached: tuple[Rung, ...], tested: set[Rung]) -> Finding:
    """Return a finding that reached these rungs of those tested."""
    evidence = tuple(
        Evidence(
            r, f"figure of {r}", 2.0, 1.5, 3.0, 0.01, 0.02, 50, "nothing", r in reached, "It is so."
        )
        for r in Rung
        if r in tested
    )
    return Finding(
        id=f"claim{number}",
        detector=f"claim{number}",
        title=f"Claim {number} of the walk",
        severity=severity_of(reached, tested),
        confidence=0.9,
        rung=max(reached, key=lambda r: r.rank),
        artifact=None,
        classes=(),
        statement="It is so.",
        evidence=evidence,
        images=("a.jpg",),
        remedy="Do it.",
        does_not_show="Other things.",
    )


KINDS = [
    (reached, set(tested))
    for k in range(1, 5)
    for reached in itertools.combinations(Rung, k)
    for tested in ({*reached}, {*reached, Rung.DEPENDENCE})
]


@pytest.fixture(scope="module")
def audit() -> Findings:
    """Return an audit with a finding for every set of rungs that may be reached and tested."""
    found = tuple(made_up(n, reached, tested) for n, (reached, tested) in enumerate(KINDS, 10))
    return replace(VARIANTS["ring"]().findings, findings=found)


def test_the_rule_is_the_table_of_the_docs() -> None:
    assert [severity_of(reached, tested).value for reached, tested in KINDS] == [
        by_hand(set(reached), tested) for reached, tested in KINDS
    ]


def test_what_counts_for_less_is_capped_and_never_raised() -> None:
    for reached, tested in KINDS:
        for mitigation in Mitigation:
            usual, less = severity_of(reached, tested), severity_of(reached, tested, mitigation)
            assert less.rank == min(usual.rank, mitigation.at_most.rank)


def test_the_docs_say_what_each_severity_asks_and_its_level() -> None:
    text = DOCS.read_text("utf-8")

    for severity in Severity:
        assert f"| {severity} | {LEVELS[severity]} | {terms.SEVERITIES[severity]} |" in text


def _json(text: str, f: Finding) -> str:
    (found,) = [one for one in json.loads(text)["findings"] if one["id"] == f.id]
    return str(found["severity"])


def _csv(text: str, f: Finding) -> str:
    return next(r["severity"] for r in csv.DictReader(io.StringIO(text)) if r["finding"] == f.id)


def _sarif(text: str, f: Finding) -> str:
    (run,) = json.loads(text)["runs"]
    (found,) = [one for one in run["results"] if one["ruleId"] == f.id]
    assert found["level"] == LEVELS[f.severity]
    return str(found["properties"]["severity"])


def _before(text: str, f: Finding) -> str:
    """Return the severity that stands before the title on its line."""
    return str(re.findall(rf"\b({WORDS})\b[^\n]*{f.title}", text)[0])


def _after(text: str, f: Finding) -> str:
    """Return the first severity that is named after the title."""
    return str(re.findall(rf"\b(?:{WORDS})\b", text[text.index(f.title) :])[0])


WRITTEN: dict[str, Callable[[str, Finding], str]] = {
    "json": _json,
    "text": _before,
    "csv": _csv,
    "sarif": _sarif,
    "junit": _after,
    "step-summary": lambda text, f: re.findall(rf"\| ({WORDS}) \|[^\n]*{f.title}", text)[0],
    "model-card": _after,
    "bom": _after,
    "annex": _after,
}


@pytest.mark.parametrize("output", FORMATS, ids=lambda output: output.id)
def test_every_format_writes_the_severity_of_the_rungs(output: Format, audit: Findings) -> None:
    # Five at a time, since texts name only the first findings. A policy that fails on all of them
    # makes those formats name them that write no more than the gate.
    for k in range(0, len(audit.findings), 5):
        some = replace(audit, findings=audit.findings[k : k + 5])
        text = output.render(some, gate(some))
        for found in some.findings:
            assert WRITTEN[output.id](text, found) == found.severity.value, found.id


def gate(audit: Findings) -> GateResult:
    return judge(audit, Policy(fail_on=Severity.INFO), today=date(2026, 1, 1))


def test_the_gate_fails_on_the_same_severities(audit: Findings) -> None:
    for level in Severity:
        result = judge(audit, Policy(fail_on=level), today=date(2026, 1, 1))
        (rule,) = [r for r in result.rules if r.id == "severity"]
        assert set(rule.findings) == {f.id for f in audit.findings if f.severity.rank >= level.rank}


def test_the_page_writes_the_severity_of_the_rungs(audit: Findings) -> None:
    record = replace(
        VARIANTS["ring"](), edits=(), curves=(), exhibits={}, gallery=(), strips=(), concepts=()
    )
    for k in range(0, len(audit.findings), 5):
        some = {f.title: f for f in audit.findings[k : k + 5]}
        shown = replace(record, findings=replace(audit, findings=tuple(some.values())))
        page = build_page(shown)
        told = [(row.title, row.severity) for row in page.summary.rows]
        whole = [(c.title, c.severity) for c in page.cards.cards]
        whole += [(row.title, row.severity) for row in page.in_data.rows]
        for title, word in (*told, *whole):
            assert word == some[title].severity.value
        for card in page.cards.cards:
            assert card.advice == terms.SEVERITIES[some[card.title].severity]
        assert {title for title, _ in whole} == set(some)
    text = html.unescape(render_report(shown))
    for title, found in some.items():
        badges = re.findall(rf"{title}.{{0,80}}?sev-({WORDS})", text, re.DOTALL)
        assert set(badges) <= {found.severity.value}


def test_a_comparison_writes_the_severity_of_the_rungs(audit: Findings) -> None:
    none = replace(audit, findings=())
    for found in audit.findings[:3]:
        one = replace(audit, findings=(found,))
        (change,) = compare(none, one).changes
        assert change.after is found
        assert found.severity.value in html.unescape(render_comparison(none, one))
