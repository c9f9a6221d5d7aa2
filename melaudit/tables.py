"""Tables of settings and policies: read into dataclasses, value by value with msgspec.

A dataclass says by its fields which keys a table has, and by their types what each value must be.
What is wrong is told in one sentence: what was given, what was expected, and for an unknown key the
one much like it.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import types
import typing
from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from melaudit.errors import ConfigurationError

T = TypeVar("T")

Share = Annotated[float, msgspec.Meta(ge=0, le=1, description="a share, 0 to 1")]
Images = Annotated[int, msgspec.Meta(ge=1, description="a number of images")]
Text = Annotated[str, msgspec.Meta(min_length=1, description="a text")]

_KEY = "key"
_EXPECTED = {
    bool: "true or false",
    str: "a text",
    datetime.date: "a date like 2027-01-31",
}


def key(name: str) -> Mapping[str, str]:
    """Return the metadata of a field that a table knows by another name."""
    return {_KEY: name}


def read_table(table: object, kind: type[T], where: str) -> T:
    """Return a table as the dataclass `kind`.

    Raises ConfigurationError, naming `where`, for an unknown key, a missing one or a wrong value.
    """
    found: T = _dataclass(kind, _mapping(table, where), where, f"{where}: ")
    return found


def read_value(hint: Any, value: Any, name: str) -> Any:
    """Return a value as the type `hint`: a dataclass, a list, a table, or what msgspec knows.

    A number may be given as text. Raises ConfigurationError, naming the value, for any other.
    """
    kind = _without_none(hint)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, _mapping(value, name), name, f"{name}.")
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _refused(name, value, expected(kind, name))
        several = dataclasses.is_dataclass(inner[0])
        names = [f"{name} {i + 1}" if several else name for i in range(len(value))]
        return tuple(read_value(inner[0], v, n) for v, n in zip(value, names, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        table = _mapping(value, name)
        return {str(k): read_value(inner[1], v, f"{name}.{k}") for k, v in table.items()}
    if kind is Any or (kind is Path and isinstance(value, Path)):
        return value
    try:
        if kind is Path:
            return Path(msgspec.convert(value, str))
        if kind is float and isinstance(value, str):  # as options are given
            return float(value)
        return msgspec.convert(value, kind)
    except ValueError:  # msgspec's own is one
        raise _refused(name, value, expected(kind, name)) from None


def require_known(
    table: Mapping[str, Any], names: Collection[str], where: str, what: str = "key"
) -> None:
    """Raise ConfigurationError for a key that is none of the names, with the one much like it."""
    for name in table:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(names))}"
            raise ConfigurationError(f"{where}: unknown {what} {name!r}; {hint}")


def expected(hint: Any, name: str = "") -> str:
    """Return what a value of a type is, in words; `name` is that of its key."""
    kind = _without_none(hint)
    if typing.get_origin(kind) is Annotated:
        said = [m.description for m in kind.__metadata__ if isinstance(m, msgspec.Meta)]
        return next(filter(None, said), expected(kind.__origin__, name))
    if typing.get_origin(kind) is tuple:
        (inner, *_) = typing.get_args(kind)
        if dataclasses.is_dataclass(inner):
            return f"a list of tables: write [[{name.rpartition(' ')[2]}]] with two brackets"
        return "a list of texts" if expected(inner) == "a text" else "a list"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"one of {', '.join(kind)}"
    return str(_EXPECTED.get(kind) or getattr(kind, "__name__", kind))


def _dataclass(kind: Any, table: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {f.metadata.get(_KEY, f.name): f for f in dataclasses.fields(kind)}
    require_known(table, fields, where)
    needed = [name for name, f in fields.items() if not _has_default(f)]
    if missing := sorted(name for name in needed if table.get(name) in (None, "")):
        raise ConfigurationError(
            f"{where} lacks {', '.join(missing)}; expected {', '.join(needed)}"
        )
    return kind(
        **{
            fields[name].name: read_value(hints[fields[name].name], value, f"{prefix}{name}")
            for name, value in table.items()
        }
    )


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(name, value, "a table")
    return value


def _refused(name: str, value: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is {value!r}; expected {wanted}")


def _without_none(hint: Any) -> Any:
    """Return a type without its None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint
