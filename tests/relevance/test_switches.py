"""Switches of the whole process are turned while anybody holds them, and then put back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function

from melaudit.relevance import Explainer
from melaudit.relevance.switches import applied_by, eager, exact


def tf32() -> list[object]:
    """Return what all of torch's switches for TF32 say, the old ones and the new ones."""
    backends: Any = torch.backends
    return [
        backends.cudnn.conv.fp32_precision,
        backends.cudnn.rnn.fp32_precision,
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.allow_tf32,
        backends.cuda.matmul.allow_tf32,
    ]


def stance() -> object:
    return torch._dynamo.eval_frame._stance.stance


def apply() -> object:
    return vars(Function)["apply"]


def hand_on(cls: Any, own: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return own(*args, **kwargs)


Hold = Callable[[], AbstractContextManager[object]]
SWITCHES: list[tuple[Hold, Callable[[], object]]] = [
    (exact, tf32),
    (eager, stance),
    (lambda: applied_by(hand_on), apply),
]
each = pytest.mark.parametrize(("hold", "state"), SWITCHES, ids=["tf32", "compiler", "apply"])


def test_meanwhile_they_say_what_they_should() -> None:
    with exact():
        assert tf32() == ["ieee", "ieee", "ieee", False, False]
    with eager():
        assert stance() == "force_eager"


@each
def test_what_was_there_is_put_back_also_after_an_error(
    hold: Hold, state: Callable[[], object]
) -> None:
    before = state()
    with hold():
        assert state() != before
    assert state() == before
    with pytest.raises(ZeroDivisionError), hold():
        _ = 1 / 0
    assert state() == before


@each
def test_inside_of_each_other_the_outermost_puts_back(
    hold: Hold, state: Callable[[], object]
) -> None:
    before = state()
    with hold():
        turned = state()
        with pytest.raises(ZeroDivisionError), hold(), hold():
            assert state() == turned
            _ = 1 / 0
        assert state() == turned
    assert state() == before


@contextmanager
def held_by_another_thread(hold: Hold) -> Iterator[Callable[[], None]]:
    """Hold a switch in another thread; what is yielded makes that thread let go of it."""
    holding, done = threading.Event(), threading.Event()

    def other() -> None:
        with hold():
            holding.set()
            done.wait(10)

    def let_go() -> None:
        done.set()
        thread.join()

    thread = threading.Thread(target=other)
    thread.start()
    assert holding.wait(10)
    try:
        yield let_go
    finally:
        let_go()


@each
def test_of_two_threads_the_last_one_puts_back(hold: Hold, state: Callable[[], object]) -> None:
    before = state()
    with held_by_another_thread(hold) as let_go:
        turned = state()
        with hold():
            let_go()  # the thread that turned the switch goes first
            assert state() == turned
        assert state() == before
    with held_by_another_thread(hold):
        with hold():
            pass
        assert state() != before
    assert state() == before


def test_what_the_user_has_set_otherwise_is_put_back() -> None:
    backends: Any = torch.backends
    before = backends.cuda.matmul.fp32_precision
    backends.cuda.matmul.fp32_precision = "tf32"  # the old switch and the new one disagree now
    try:
        with exact():
            assert backends.cuda.matmul.fp32_precision == "ieee"
        assert backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        backends.cuda.matmul.fp32_precision = before


def test_a_model_that_turns_tf32_on_is_overruled_at_the_next_need() -> None:
    before = tf32()
    with exact():
        torch.backends.cuda.matmul.allow_tf32 = True
        with exact():
            assert tf32() == ["ieee", "ieee", "ieee", False, False]
    assert tf32() == before


class Double(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> Tensor:
        return 2 * c


def test_a_handler_is_asked_in_its_own_thread_only_and_the_innermost_first() -> None:
    seen: list[str] = []

    def noting(name: str) -> Callable[..., Any]:
        def handler(cls: Any, own: Callable[..., Any], args: Any, kwargs: Any) -> Any:
            seen.append(f"{name}: {cls.__name__}")
            return own(*args, **kwargs)

        return handler

    def elsewhere() -> None:
        Double.apply(torch.ones(1))

    with applied_by(noting("outer")):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert seen == []
        with applied_by(noting("inner")):
            assert Double.apply(torch.ones(1)).item() == 2
        Double.apply(torch.ones(1))
    Double.apply(torch.ones(1))
    assert seen == ["inner: Double", "outer: Double"]


class Cubes(Function):
    """x^3, whose own gradient is no rule: it would hand down three times the relevance."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gradient: Tensor = 3 * x**2 * c
        return gradient


class Meeting(nn.Module):
    """Calls back in the middle of its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2, bias=False)
        self.meet: Callable[[], object] = lambda: None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        self.meet()
        logits: Tensor = self.head(Cubes.apply(y).relu().mean((2, 3)))
        return logits


def signal_and_wait(own: threading.Event, other: threading.Event) -> None:
    own.set()
    other.wait(10)


def test_custom_functions_are_seen_through_in_two_threads_at_once() -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    before = apply()
    first, second = Meeting(), Meeting()
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))
    maps: list[Tensor] = []

    def run_first() -> None:
        maps.append(one.lrp(x))
        first_ended.set()

    with Explainer(first) as one, Explainer(second) as two:
        expected = one.attribute(x, None, ())
        assert expected.unknown == ()
        two.lrp(x)  # the next pass is the only one that both are in
        first.meet = partial(signal_and_wait, first_began, second_began)
        second.meet = partial(signal_and_wait, second_began, first_ended)
        thread = threading.Thread(target=run_first)
        thread.start()
        assert first_began.wait(10)
        maps.append(two.lrp(x))
        thread.join()
    assert second_began.is_set() and first_ended.is_set()
    assert len(maps) == 2 and all(torch.equal(found, expected.maps) for found in maps)
    assert apply() is before
