"""Calls of torch functions, under one name however they are written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Operation = Callable[..., Any]
"""Computes the result of a call, given the flow, the call and the call's own arguments."""


@dataclass(frozen=True)
class OperationTable:
    """What becomes of relevance at each torch operation, by canonical name."""

    rules: Mapping[str, Operation]
    unknown: Operation
    """The rule of an operation that is not in `rules`."""
    descriptions: Mapping[str, str]
    """What holds for an operation, in words for a reader."""
    by_composite: frozenset[str]
    """Operations for which the composite has the rules."""
    attention: frozenset[str]
    """Operations that follow the composite's rule for attention."""
    passive: frozenset[str]
    """Operations that no relevance passes through."""


SYNONYMS = {
    "absolute": "abs",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "mm": "matmul",
    "moveaxis": "movedim",
    "multiply": "mul",
    "mv": "matmul",
    "bmm": "matmul",
    "negative": "neg",
    "radd": "add",
    "rmul": "mul",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "true_divide": "div",
    "truediv": "div",
    "itruediv": "div",
}
"""Other names of an operation -> its canonical name."""

VIEWS = ("T", "mT", "H", "mH", "real", "imag")
"""Attributes of a tensor that are tensors of the same values."""


@dataclass
class Call:
    """One call of a torch function, with those of its tensors that depend on the input."""

    function: Callable[..., Any]
    name: str
    """Its canonical name: `relu` for F.relu, torch.relu and Tensor.relu_."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    signals: list[Tensor] = field(default_factory=list)
    inplace: bool = False

    def run(self) -> Any:
        """Make the call with its own arguments."""
        return self.function(*self.args, **self.kwargs)

    def anew(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call with other arguments: in place only if the first one is the same."""
        same = not self.inplace or args[0] is self.args[0]
        return (self.function if same else out_of_place(self.name))(*args, **kwargs)

    def without_grad(self) -> Any:
        """Return the result of the call, made out of place and outside autograd's graph."""
        function, kwargs, args = self.function, dict(self.kwargs), self.args
        if self.inplace:
            place = inplace_argument(function)
            if place is None:
                function = out_of_place(self.name)
            elif len(args) > place:
                args = (*args[:place], False, *args[place + 1 :])
            else:
                kwargs["inplace"] = False
        with torch.no_grad():
            return function(*args, **kwargs)


@cache
def canonical(function: Callable[..., Any]) -> tuple[str, bool]:
    """Return a torch function's canonical name, and whether it works in place by its own name.

    The name is empty for reading an attribute that is not a tensor of the same values.
    """
    name = str(getattr(function, "__name__", type(function).__name__))
    if name == "__get__":
        name = str(getattr(getattr(function, "__self__", None), "__name__", ""))
        return (name if name in VIEWS else ""), False
    name = name.partition(".")[0]
    dunder = name.startswith("__")
    inplace = (name.endswith("_") and not dunder) or name == "__setitem__"
    name = name.strip("_")
    return SYNONYMS.get(name, name), inplace


@cache
def inplace_argument(function: Callable[..., Any]) -> int | None:
    """Return the position of a function's `inplace` argument, None if it has none."""
    if not inspect.isfunction(function) or hasattr(function, "__wrapped__"):
        return None
    names = list(inspect.signature(function).parameters)
    return names.index("inplace") if "inplace" in names else None


@cache
def out_of_place(name: str) -> Callable[..., Any]:
    """Return the function of that name that does not change its arguments.

    Raises AttributeError where torch has none.
    """
    for place in (torch.Tensor, functional, torch, torch.special):
        function: Callable[..., Any] | None = getattr(place, name, None)
        if callable(function):
            return function
    raise AttributeError(f"torch has {name}_ but no {name}")


def asks_inplace(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether a call sets its function's `inplace` argument."""
    place = inplace_argument(function)
    if place is None:
        return False
    return bool(args[place] if len(args) > place else kwargs.get("inplace", False))


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)


def replaced(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """Return nested tuples, lists and dicts with each tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(replaced(item, change) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(replaced(item, change) for item in value)
    if isinstance(value, dict):
        return {key: replaced(item, change) for key, item in value.items()}
    return value
