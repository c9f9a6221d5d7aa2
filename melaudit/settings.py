"""What a setting is: one field of a dataclass that says all that its users need to know of it.

The field gives name, type and default, its metadata what `About` holds. Options of the command
line, keys of melaudit.toml, arguments of the Python API, checks of values and the name of a run all
follow from that one definition.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from melaudit.errors import ConfigurationError
from melaudit.tables import read_value

_KEY = "melaudit"


class Topic(StrEnum):
    """What settings are about: the headings under which a help text lists them."""

    MODEL = "Model"
    DATA = "Images and labels"
    KNOWLEDGE = "What you know of the images"
    PREPROCESSING = "Preprocessing"
    RELEVANCE = "Relevance maps"
    DETECTORS = "Detectors"
    RUN = "The run"
    RESULT = "Verdict and report"


@dataclass(frozen=True)
class About:
    """What there is to know of a setting besides its name, type and default."""

    topic: Topic
    help: str
    """One sentence for the help text of the command line, without the default."""
    metavar: str | None = None
    """What stands for the value there; None takes the usual word for the type."""
    least: float | None = None
    most: float | None = None
    """Bounds of the value, themselves included; None for none."""
    measured: bool = True
    """Whether a measurement may depend on it, so that another value makes it another run. False
    where it only judges or shows what was measured, or where what it names counts by content."""
    recorded: bool = True
    """Whether a report says it. False where it says who computes, which changes no result."""
    other_name: str = ""
    """A second name by which it may be given."""
    option: bool = True
    """Whether the command line has an option for it."""
    usual: str = ""
    """What help says the default is, where the field does not hold it."""
    first: bool = False
    """Whether help lists it among those to begin with, before its topic."""
    expects: str = ""
    """What must lie at the path that it is: "a checkpoint"; "" where nothing need be there."""


def about(topic: Topic, help: str, **more: Any) -> Mapping[str, About]:
    """Return the metadata of a field that is a setting; `more` are further fields of `About`."""
    return {_KEY: About(topic, help, **more)}


@dataclass(frozen=True)
class Setting:
    """One setting, as its field defines it."""

    name: str
    type: Any
    """`int`, `Path`, a StrEnum, `tuple[float, ...]`, ...; without the None of an optional one."""
    default: Any
    """`dataclasses.MISSING` for one that must be given."""
    about: About

    def default_and_bounds(self) -> str:
        """Return default and bounds, as a help text ends with them; "" where there are none."""
        said = []
        if self.about.usual:
            said.append(f"default: {self.about.usual}")
        elif self.default not in (None, dataclasses.MISSING, {}):
            said.append(f"default: {self.default}")
        if self.about.most is not None:
            said.append(f"{self.about.least or 0:g} to {self.about.most:g}")
        return f"  [{'; '.join(said)}]" if said else ""

    def read(self, value: Any, where: str = "") -> Any:
        """Bring a value to the type of the setting; None is nothing given, and stays None.

        Raises ConfigurationError, naming `where` it comes from, for a value of another type or out
        of bounds.
        """
        name = f"{where}: {self.name}" if where else self.name
        if value is None:
            return None
        read = read_value(self.type, _spelled_out(self.type, value, name), name)
        self.check(read, name)
        return read

    def check(self, value: Any, name: str = "") -> None:
        """Raise ConfigurationError for a value of the setting's type that is out of bounds."""
        least, most = self.about.least, self.about.most
        if value is None or (least is None and most is None):
            return
        if (least is None or value >= least) and (most is None or value <= most):
            return
        wanted = f"at least {least:g}" if most is None else f"{least or 0:g} to {most:g}"
        raise ConfigurationError(f"{name or self.name} is {value}; it must be {wanted}")


@functools.cache
def settings_of(owner: type) -> Mapping[str, Setting]:
    """Return name -> setting of all fields of a dataclass that are settings, in their order."""
    hints = typing.get_type_hints(owner)
    return {
        f.name: Setting(f.name, _required(hints[f.name]), _default(f), f.metadata[_KEY])
        for f in dataclasses.fields(owner)
        if _KEY in f.metadata
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _required(hint: Any) -> Any:
    """Return a type without its None."""
    if typing.get_origin(hint) is types.UnionType:
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint


def _spelled_out(hint: Any, value: Any, name: str) -> Any:
    """Return what text says as a list or a table, for a setting that is one; else the value.

    Items of a list are separated by commas, and may be quoted as in CSV; entries of a table are
    NAME=VALUE. Raises ConfigurationError for text that is no such table.
    """
    origin = typing.get_origin(hint)
    if not isinstance(value, str) or not isinstance(origin, type):
        return value
    if origin is tuple:
        return _items(value, name)
    return _entries(value, name) if issubclass(origin, Mapping) else value


def _items(text: str, name: str) -> list[str]:
    """Return the items of a list in text: a, b, "c, d".

    Raises ConfigurationError for text that is no row of CSV, such as one of several lines.
    """
    try:
        found = next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error:
        raise ConfigurationError(
            f"{name} is {text[:80]!r}; expected items on one line, with commas between"
        ) from None
    return [item.strip() for item in found if item.strip()]


def _entries(text: str, name: str) -> dict[str, str]:
    """Return the entries of a table in text: a=x, b=y."""
    entries = [item.rpartition("=") for item in _items(text, name)]
    if not all(equals for _, equals, _ in entries):
        raise ConfigurationError(f"{name} is {text!r}; expected NAME=VALUE,NAME=VALUE")
    if len({key for key, _, _ in entries}) < len(entries):
        raise ConfigurationError(f"{name} is {text!r}; it gives a name twice")
    return {key.strip(): inner.strip() for key, _, inner in entries}
