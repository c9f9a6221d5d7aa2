"""Writes docs/reference.md: every command, option and setting, in the words of the code itself.

    python -m tests.docs.reference

A command says what it does in its docstring and an option in its help text; nothing is said twice.
`test_documented.py` checks that the page is the one that this module writes.
"""

import enum
import inspect
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

import melaudit
from melaudit import policy
from melaudit.audit.prepare.configuration import Configuration
from melaudit.cli import cli
from melaudit.settings import Topic, settings_of

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference.md"

HEAD = """\
# Reference: commands, options, settings

Written by `make reference` from the help texts of the code; a test checks that it is current.
"""
SETTINGS = """\
## Settings: melaudit.toml

`melaudit run`, `melaudit doctor` and `melaudit explain` read `melaudit.toml`, or the table
`[tool.melaudit]` of a `pyproject.toml`, beside the checkpoint, else in the working folder. Paths
are relative to the file. An option of the command line comes before a setting. `melaudit.audit`
takes the same names as arguments.
"""
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}
"""What TOML values of a type are called."""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, *_command(cli, ("melaudit",)), SETTINGS, _settings(), *_policy(), *_python()]
    return "\n".join(parts)


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ("melaudit",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with the words that call it, groups before what they hold."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))


def option_names(command: click.Command) -> set[str]:
    """Return the long names of a command's own options, `--help` among them."""
    with click.Context(command) as context:
        given = [*command.get_params(context)]
    return {name for p in given for name in (*p.opts, *p.secondary_opts) if name.startswith("--")}


def _command(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    for words, each in commands(command, path):
        with click.Context(each, info_name=" ".join(words)) as context:
            usage = " ".join(each.collect_usage_pieces(context))
        yield f"## {' '.join(words)}\n"
        yield f"    {' '.join(words)} {usage}\n"
        yield inspect.cleandoc(each.help or "") + "\n"
        options = [p for p in each.params if isinstance(p, click.Option) and not p.hidden]
        if options:
            yield "".join(f"{_option(option)}\n" for option in options)


def _option(option: click.Option) -> str:
    """Return an option's line: its name, what it takes, what it does and its default."""
    takes = "" if option.is_flag else f" {option.make_metavar(click.Context(cli))}"
    default = option.default if option.show_default else None
    said = f" Default: `{default}`." if default is not None else ""
    return f"* `{', '.join(option.opts)}{takes}`: {option.help}{said}"


def _settings() -> str:
    """Return a line for each setting, under what it is about."""
    lines = []
    for topic in Topic:
        lines.append(f"### {topic}\n\n")
        for name, setting in settings_of(Configuration).items():
            if setting.about.topic is topic:
                said = f"{setting.about.help}{setting.default_and_bounds()}"
                lines.append(f"* `{name}` ({_type(setting.type)}): {said}\n")
        lines.append("\n")
    return "".join(lines).removesuffix("\n")


def _type(hint: object) -> str:
    """Return what a value of a type is called in TOML."""
    if typing.get_origin(hint) is tuple:
        return f"list of {_type(typing.get_args(hint)[0])}s"
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        return ", ".join(f'"{value}"' for value in hint)
    if typing.get_origin(hint) is Mapping:
        return "table of tables"
    assert isinstance(hint, type), hint
    return WORDS[hint]


def _policy() -> Iterator[str]:
    """Yield the section on policies: the docstring of the module that reads them."""
    yield "## A policy: `melaudit gate --policy`, `melaudit run --policy`\n"
    yield inspect.cleandoc(policy.__doc__ or "") + "\n"


def _python() -> Iterator[str]:
    """Yield the names that `import melaudit` gives, with the first sentence of each."""
    yield "## Python\n"
    lines = []
    for name in melaudit.__all__:
        text = inspect.cleandoc(getattr(melaudit, name).__doc__ or "")
        lines.append(f"* `melaudit.{name}`: {' '.join(text.partition(chr(10) * 2)[0].split())}\n")
    yield "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
