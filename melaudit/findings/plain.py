"""Dataclasses as JSON's own types, and back."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_NUMBER = 1e100
"""The largest number that is kept: products of a few are still finite. Chosen: a round figure, not
measured."""


def plain(value: Any) -> Any:
    """Turn dataclasses, tuples and enums into JSON's own types.

    NaN, infinities and numbers beyond `MAX_NUMBER` become None.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, StrEnum):
        return value.value
    if hasattr(value, "item"):  # numpy scalars, which json refuses
        value = value.item()
    if isinstance(value, float) and not abs(value) <= MAX_NUMBER:
        return None
    return value


T = TypeVar("T", bound="DataclassInstance")


def rebuild(kind: type[T], data: Mapping[str, Any]) -> T:
    """Build a dataclass of this module from plain types, following its annotations."""
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}
    return kind(**{k: _convert(hints[k], v) for k, v in data.items() if k in known})


def _convert(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return _convert(inner[0], value) if len(inner) == 1 else value
    if origin is tuple:
        return tuple(_convert(typing.get_args(hint)[0], v) for v in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return rebuild(hint, value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if hint is float and value is None:  # was an infinity or NaN
        return math.nan
    return value
