"""What the code has is documented: commands, options, settings, rooms, the flow of a run."""

import re
import tomllib

import click
import pytest

from melaudit.cli import cli
from tests.docs import pages, reference

COMMANDS = [pytest.param(command, id=" ".join(words)) for words, command in reference.commands()]


def test_the_reference_is_the_one_that_make_reference_writes() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), (
        "docs/reference.md is not current; run: make reference"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_says_what_it_does(command: click.Command) -> None:
    assert command.help
    lacking = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert not lacking


def test_the_documents_show_every_command_beside_the_reference() -> None:
    names = [name for name in pages.FILES if name != "docs/reference.md"]
    lines = [line for name in names for line in pages.command_lines(name, "melaudit")]
    assert {*cli.commands} - {" ".join(line[:1]) for line in lines} == set()


def test_the_picture_of_the_house_shows_the_layers_that_are_checked() -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (house,) = [c["layers"] for c in contracts if c.get("containers") == ["melaudit"]]
    (picture,) = [b for b in pages.blocks("docs/architecture.md") if b.startswith("+--")]
    rows = re.findall(r"^\|(.*?)\|", picture, re.MULTILINE)
    shown = [" | ".join(row.split()) for row in rows]
    assert shown == [layer for layer in house if layer != "__main__"]


def test_every_step_and_type_of_the_flow_is_where_the_page_says() -> None:
    (flow,) = [b for b in pages.blocks("docs/architecture.md") if "make_record" in b]
    said = re.findall(r"^(?:  [|.]  )?(\w+) +(melaudit/\S+\.py)", flow, re.MULTILINE)
    assert len(said) > 15
    for name, path in said:
        source = (pages.ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:class|def) {name}\b", source, re.MULTILINE), f"{path}: {name}"
