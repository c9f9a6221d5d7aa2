"""The summary of a build step: short, and no name in it does anything."""

import re
from dataclasses import replace
from datetime import date

import pytest

from melaudit.gate import judge
from melaudit.policy import DEFAULT, Policy, Waiver
from melaudit.reports import to_step_summary
from melaudit.reports.formats.markdown import escaped, yaml_text
from melaudit.reports.formats.step_summary import MAX_BYTES
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")
TODAY = date(2026, 11, 25)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_small_and_says_the_outcome_first(kind: str, records: dict[str, Record]) -> None:
    findings = records[kind].findings
    text = to_step_summary(findings, judge(findings, DEFAULT, today=TODAY))
    assert text.startswith("## melaudit: ")
    assert len(text.encode()) <= MAX_BYTES


def test_a_very_long_one_is_cut_at_a_line_and_says_so(records: dict[str, Record]) -> None:
    findings = records["ring"].findings
    waivers = tuple(
        Waiver(f"none-{k}", "o" * 200, "r" * 200, date(2027, 1, 1)) for k in range(1000)
    )
    text = to_step_summary(findings, judge(findings, Policy(waivers=waivers), today=TODAY))
    assert len(text.encode()) <= MAX_BYTES
    assert text.endswith("it is in the report.\n")


def test_every_row_of_a_table_has_the_same_cells(records: dict[str, Record]) -> None:
    findings = records["hostile"].findings
    text = to_step_summary(findings, judge(findings, DEFAULT, today=TODAY))
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert tables
    for block in tables:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_hostile_names_do_nothing(records: dict[str, Record]) -> None:
    findings = records["hostile"].findings
    at = replace(findings.findings[0], title="@everyone ![x](http://e.vil) ::set-output name=a::b")
    findings = replace(findings, findings=(at,))
    text = to_step_summary(findings, judge(findings, DEFAULT, today=TODAY))
    bare = text.replace("<!-- -->", "")
    assert "<" not in bare  # no HTML but our empty comments
    assert "{{" not in text and not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"@\w|::", text)
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u200b\ufeff\ud800-\udfff]", text
    )


@pytest.mark.parametrize(
    "name",
    [
        "a|b",
        "`code`",
        "<b>",
        "@team",
        "::warning::x",
        "{{7*7}}",
        "# head",
        "**bold**",
        "_em_",
        "$x$",
    ],
)
def test_a_name_is_shown_as_it_is_and_not_obeyed(name: str) -> None:
    shown = escaped(name)
    assert shown != name
    # What a reader sees: entities and backslashes undone, comments gone.
    seen = re.sub(r"&#(\d+);", lambda m: chr(int(m[1])), shown.replace("<!-- -->", ""))
    seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert re.sub(r"\\([^\w\s])|\\(_)", lambda m: m[1] or m[2], seen) == name


def test_ordinary_words_stay_readable() -> None:
    assert escaped("dark_ring in 12 of 30 images (40 %).") == "dark_ring in 12 of 30 images (40 %)."


@pytest.mark.parametrize("text", ["plain", 'a "quote" \\', "\u00e9\U0001f600", "a: b # c", "- x"])
def test_yaml_reads_back_what_was_written(text: str) -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with timm")
    written = yaml_text(text)
    assert written.isascii() and yaml.safe_load(written) == text
