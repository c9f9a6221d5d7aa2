"""Rounds of inputs from Hypothesis, for a time or as many as asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.targets import Target, targets

_A_ROUND = 500
"""Inputs from one seed."""


def _settings(examples: int, **more: Any) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **more,
    )


def fuzzed(target: Target, seconds: float, seed: int) -> tuple[int, Exception | None]:
    """Fuzz a target with one seed after the other; return how many inputs, and what was found.

    The smallest input that was found to fail is printed.
    """
    end = time.monotonic() + seconds
    tried = 0

    def give(content: Any) -> None:
        nonlocal tried
        if time.monotonic() > end:
            return
        tried += 1
        target.run(content)

    while time.monotonic() < end:
        test = _settings(_A_ROUND)(given(target.inputs)(give))
        try:
            hypothesis.seed(seed)(test)()
        except Exception as error:  # whatever the package raised
            print("\n".join(getattr(error, "__notes__", ())))
            return tried, error
        seed += 1
    return tried, None


def fuzzed_by_name(name: str, seconds: float, seed: int) -> tuple[bool, str]:
    """Fuzz the target of a name; return whether anything was found, and a line on it."""
    target = next(target for target in targets() if target.name == name)
    start = time.monotonic()
    tried, error = fuzzed(target, seconds, seed)
    outcome = "nothing found" if error is None else f"FOUND {type(error).__name__}: {error}"
    took = time.monotonic() - start
    return error is not None, f"{name}: {tried:,} inputs in {took:.0f} s, {outcome}"


def some(target: Target, examples: int) -> int:
    """Give a target so many inputs, the same each time; return how many passed or raise."""
    passed = 0

    def give(content: Any) -> None:
        nonlocal passed
        target.run(content)
        passed += 1

    test = given(target.inputs)(give)
    _settings(examples, derandomize=True, phases=(Phase.generate, Phase.shrink))(test)()
    return passed


def one_input(target: Target) -> Callable[[bytes], object]:
    """Return a function that makes an input from bytes, for a fuzzer that has its own bytes."""
    test = _settings(1)(given(target.inputs)(target.run))
    return test.hypothesis.fuzz_one_input  # type: ignore[attr-defined,no-any-return]
