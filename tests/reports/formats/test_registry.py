"""Tests of what all output formats have in common."""

from __future__ import annotations

import datetime
from pathlib import Path

import click
import pytest

from melaudit.cli.auditing import run
from melaudit.cli.options import format_options
from melaudit.cli.outputs import gate
from melaudit.gate import judge
from melaudit.policy import DEFAULT
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.registry import FORMATS
from melaudit.reports.interface import Record
from tests.reports.made_up_variants import VARIANTS

TODAY = datetime.date(2026, 11, 29)


def test_no_two_formats_share_a_name_or_a_file() -> None:
    assert len({f.id for f in FORMATS}) == len({f.file for f in FORMATS}) == len(FORMATS)
    assert all(f.about and not f.about.endswith(".") and "\n" not in f.about for f in FORMATS)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.id)
def test_the_same_audit_gives_the_same_bytes(
    form: Format, variant: str, records: dict[str, Record]
) -> None:
    findings = records[variant].findings
    gated = judge(findings, DEFAULT, today=TODAY)

    text = form.render(findings, gated)

    assert text and text == form.render(findings, gated)
    assert text.encode("utf-8").decode("utf-8") == text


@pytest.mark.parametrize("command", [run, gate], ids=lambda command: str(command.name))
def test_every_format_on_request_is_an_option_with_its_own_help(command: click.Command) -> None:
    helps = {o.opts[0]: o.help for o in command.params if isinstance(o, click.Option)}

    for form in FORMATS:
        if form.on_request:
            assert helps[f"--{form.id}"] == f"Write here: {form.about}."


def test_a_command_gets_the_files_that_were_asked_for() -> None:
    seen: dict[Format, Path] = {}

    @click.command()
    @format_options
    def command(files: dict[Format, Path]) -> None:
        seen.update(files)

    command.main(["--sarif", "a.sarif", "--step-summary", "b.md"], standalone_mode=False)

    assert {form.id: path for form, path in seen.items()} == {
        "sarif": Path("a.sarif"),
        "step-summary": Path("b.md"),
    }
