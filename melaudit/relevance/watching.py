"""What a model calls, and which of its modules calls it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Called:
    """One call of an operation of torch."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inside: tuple[str, nn.Module] | None
    """Name and module of the innermost module that is running."""

    @property
    def name(self) -> str:
        """The operation's name, without underscores around it."""
        return getattr(self.function, "__name__", str(self.function)).strip("_")

    @property
    def place(self) -> str:
        """The operation and the module that calls it: "dropout in head (Linear)"."""
        if self.inside is None:
            return f"{self.name} in the model"
        name, kind = self.inside[0], type(self.inside[1]).__name__
        return f"{self.name} in {f'{name} ({kind})' if name else kind}"


class _Watch(TorchFunctionMode):
    """Tell of each call before it is made."""

    def __init__(self, tell: Callable[[Called], None]) -> None:
        super().__init__()
        self.inside: list[tuple[str, nn.Module]] = []
        """The modules that are running, the innermost last."""
        self.tell = tell

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.tell(Called(func, args, kwargs, self.inside[-1] if self.inside else None))
        return func(*args, **kwargs)


@contextlib.contextmanager
def watching(model: nn.Module, tell: Callable[[Called], None]) -> Iterator[None]:
    """Tell of every operation that the model calls; operations within operations are not seen."""
    watch = _Watch(tell)
    handles = []
    for name, module in model.named_modules():

        def enter(module: nn.Module, _: object, name: str = name) -> None:
            watch.inside.append((name, module))

        def leave(_: nn.Module, __: object, ___: object) -> None:
            watch.inside.pop()

        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
    try:
        with watch:
            yield
    finally:
        for handle in handles:
            handle.remove()
