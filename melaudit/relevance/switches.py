"""The switches of torch that belong to the whole process, turned only in here.

Some of what relevance needs can only be set for all threads at once: whether a GPU rounds to TF32,
whether compiled code runs, what `Function.apply` does. Each such switch is held by as many as need
it at a time, in one thread or in several. The first one turns it, the last one puts back what was
there before, also after an error. As long as anybody holds a switch, nobody turns it back.

Code outside of melaudit that turns the same switches at the same time is not guarded against.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.autograd import Function

Handler = Callable[[type[Function], Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""Called as handler(function, apply, args, kwargs) in place of apply(*args, **kwargs)."""


class Switch:
    """A setting of the whole process that several may hold at a time.

    turn
        Turns it, and returns what puts back what was there before.
    """

    def __init__(self, turn: Callable[[], Callable[[], None]]) -> None:
        self._turn = turn
        self._lock = threading.Lock()
        self._holders = 0
        self._put_back: Callable[[], None] = lambda: None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the switch while the `with` lasts."""
        with self._lock:
            if not self._holders:
                self._put_back = self._turn()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._put_back()


@contextmanager
def exact() -> Iterator[None]:
    """Multiply float32 as float32: no TF32 on a GPU, whose 10 bits would show in the maps."""
    with _TF32.held():
        _no_tf32()  # also where a model has turned it on in its own forward pass
        yield


@contextmanager
def eager() -> Iterator[None]:
    """Run compiled modules as they were written, so that their operations can be followed."""
    with _COMPILED.held():
        yield


@contextmanager
def applied_by(handler: Handler) -> Iterator[None]:
    """Let a handler apply the model's own autograd Functions, in this thread only.

    Torch offers no other way: `Function.apply` is no torch function, so a mode does not see it.
    Of several handlers in one thread the innermost is asked.
    """
    with _APPLY.held():
        _handlers.of_this_thread.append(handler)
        try:
            yield
        finally:
            _handlers.of_this_thread.pop()


class _Handlers(threading.local):
    def __init__(self) -> None:
        self.of_this_thread: list[Handler] = []


_handlers = _Handlers()


def _turn_tf32_off() -> Callable[[], None]:
    """Turn both of torch's sets of switches for this.

    Torch refuses to read the old one where the two disagree, so both are turned and put back.
    """
    old, new = _tf32_switches()
    precisions = [switch.fp32_precision for switch in new]
    allowed = [_allows(switch) for switch in old]
    _no_tf32()

    def put_back() -> None:
        for switch, allow in zip(old, allowed, strict=True):
            if allow is not None:
                switch.allow_tf32 = allow
        for switch, precision in zip(new, precisions, strict=True):
            switch.fp32_precision = precision

    return put_back


def _no_tf32() -> None:
    old, new = _tf32_switches()
    for switch in old:
        switch.allow_tf32 = False
    for switch in new:
        switch.fp32_precision = "ieee"


def _tf32_switches() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    backends: Any = torch.backends
    old = (backends.cudnn, backends.cuda.matmul)
    return old, (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)


def _allows(switch: Any) -> bool | None:
    """Read the old switch; None where the user's own settings already disagree."""
    try:
        return bool(switch.allow_tf32)
    except RuntimeError:
        return None


def _run_as_written() -> Callable[[], None]:
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        return stack.pop_all().close


def _watch_apply() -> Callable[[], None]:
    original = vars(Function)["apply"]

    def apply(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
        own: Callable[..., Any] = original.__get__(None, cls)
        handlers = _handlers.of_this_thread
        return handlers[-1](cls, own, args, kwargs) if handlers else own(*args, **kwargs)

    def put_back() -> None:
        Function.apply = original

    Function.apply = classmethod(apply)
    return put_back


_TF32 = Switch(_turn_tf32_off)
_COMPILED = Switch(_run_as_written)
_APPLY = Switch(_watch_apply)
