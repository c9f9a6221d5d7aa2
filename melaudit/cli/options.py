"""Options that several commands share, those of settings among them, and how help lists them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from melaudit.audit.prepare.configuration import Configuration
from melaudit.reports.formats.registry import FORMATS
from melaudit.settings import Setting, Topic, settings_of

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

OUTPUT = "Output"
"""Heading of options that are no settings, unless they name another."""


FIRST = "To begin with"
"""Heading of the settings that matter first."""


class GroupedOption(click.Option):
    """An option with the heading that it stands under in a help text."""

    def __init__(self, *declarations: Any, heading: str = OUTPUT, **more: Any) -> None:
        super().__init__(*declarations, **more)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings, in the order of their first one."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; --help, which click adds, has no heading and comes last."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                rows.setdefault(getattr(parameter, "heading", "Help"), []).append(record)
        for heading, records in rows.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def options(*each: Callable[[F], F]) -> Callable[[F], F]:
    """Join options into one decorator, shown in the order they are given."""

    def decorate(function: F) -> F:
        for option in reversed(each):
            function = option(function)
        return function

    return decorate


def output_option(*declarations: str, **more: Any) -> Callable[[F], F]:
    """Return an option that is no setting of a run; `heading` says where help lists it."""
    return click.option(*declarations, cls=GroupedOption, **more)


def setting_options(*which: Topic | str) -> Callable[[F], F]:
    """Return options for settings of a run, as `Configuration` defines them.

    which: topics, whose settings all become options, and names of single settings. What is not
    given on the command line is None, so that a settings file has its say.
    """
    known = settings_of(Configuration).values()
    asked = [
        setting
        for each in which
        for setting in known
        if setting.about.option and each in (setting.about.topic, setting.name)
    ]
    return options(*map(_option, sorted(asked, key=lambda setting: not setting.about.first)))


def _option(setting: Setting) -> Callable[[F], F]:
    about = setting.about
    names = [name for name in (setting.name, about.other_name) if name]
    return click.option(
        *(f"--{name.replace('_', '-')}" for name in names),
        setting.name,
        cls=GroupedOption,
        heading=FIRST if about.first else about.topic.value,
        type=_type(setting.type),
        metavar=about.metavar,
        help=f"{about.help}{setting.default_and_bounds()}",
    )


def _type(hint: Any) -> click.ParamType[Any, Any]:
    """Return what the command line takes for a type; lists are text, read with the settings."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return click.Choice([choice.value for choice in hint])
    types: dict[Any, click.ParamType[Any, Any]] = {Path: PATH, int: click.INT, float: click.FLOAT}
    return types.get(hint, click.STRING)


gate_options = options(
    *(
        output_option(f"--{name}", heading="Gate", type=PATH, help=said)
        for name, said in (
            ("policy", "TOML: severity, rung, coverage, waivers, ..."),
            ("baseline", "Earlier findings.json: fail on what is new only."),
        )
    )
)


def format_options(function: F) -> F:
    """Add an option for each output format that can be asked for.

    The command gets them as one argument, `files`: format -> the file to write it to.
    """
    formats = [f for f in FORMATS if f.on_request]

    @functools.wraps(function)
    def command(*arguments: Any, **given: Any) -> Any:
        asked = {f: given.pop(f.id.replace("-", "_")) for f in formats}
        files = {f: path for f, path in asked.items() if path is not None}
        return function(*arguments, files=files, **given)

    each = [output_option(f"--{f.id}", type=PATH, help=f"Write here: {f.about}.") for f in formats]
    return options(*each)(cast(F, command))


sharing_options = options(
    *(
        output_option(f"--{name}", heading=Topic.RESULT.value, is_flag=True, help=said)
        for name, said in (
            ("no-images", "A report without images, for sharing."),
            ("blur", "A report with blurred images, for sharing."),
        )
    )
)
