"""One place for corrections: what counts as significant, and how many tests were made.

Every test of a run is a `Tested` estimate. `settle` gives all of them their q-values together, and
`clear` is the only question that may be asked of one: before `settle` it has no answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from melaudit.statistics.estimates import Tested

ALPHA = 0.05
"""False discovery rate of the claims of a run, and level of a single test: by convention .05."""
METHOD = "Benjamini and Hochberg"
"""What readers of a report are told that `false_discovery` is."""
REFERENCE = (
    "Benjamini, Hochberg (1995). Controlling the false discovery rate. Journal of the Royal "
    "Statistical Society B 57(1)."
)

T = TypeVar("T")


class UncorrectedError(RuntimeError):
    """The outcome of a test was read before it was corrected: an error of the caller."""


def false_discovery(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return q-values (n,) for p-values (n,), by `METHOD` (`REFERENCE`)."""
    p = np.clip(np.asarray(p_values, np.float64), 0.0, 1.0)
    if not len(p):
        return p
    q: NDArray[np.float64] = stats.false_discovery_control(p)
    return q


def level_of_each(tried: int) -> float:
    """Return the level at which each of `tried` tests keeps ALPHA for any of them (Bonferroni)."""
    return ALPHA / max(tried, 1)


def bonferroni(test: Tested, tried: int) -> Tested:
    """Correct the p-value of a test for being the best of `tried` tests (Bonferroni)."""
    return dataclasses.replace(test, p_value=min(1.0, test.p_value * max(tried, 1)))


def clear(test: Tested, level: float = ALPHA) -> bool:
    """Tell whether a test rejects its null hypothesis after correction over the whole run.

    Raises UncorrectedError when the test has no q-value yet; see `settle`.
    """
    return q_value(test) <= level


def q_value(test: Tested) -> float:
    """Return the q-value of a test.

    Raises UncorrectedError when it has none yet.
    """
    if test.q_value is None:
        raise UncorrectedError(
            f"a test (p = {test.p_value:.3g}) has no q-value; settle() the tests of the run first"
        )
    return test.q_value


def settle(values: Sequence[T]) -> list[T]:
    """Return the values with a q-value in every `Tested` inside them, over all of them together.

    A value is a `Tested`, or holds some in the fields of dataclasses, in tuples or in mappings. The
    same object in two places is one test.
    """
    tests = list({id(test): test for value in values for test in tests_in(value)}.values())
    q_values = false_discovery([test.p_value for test in tests])
    settled = {
        id(test): dataclasses.replace(test, q_value=float(q))
        for test, q in zip(tests, q_values, strict=True)
    }
    return [with_tests(value, settled) for value in values]


def tests_in(value: object) -> list[Tested]:
    """Return every `Tested` in a value, in the order of its fields."""
    if isinstance(value, Tested):
        return [value]
    return [test for _, inner in _inside(value) for test in tests_in(inner)]


def _inside(value: object) -> list[tuple[Any, Any]]:
    """Return (name or index, content) of what may hold tests."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    if isinstance(value, tuple):
        return list(enumerate(value))
    if isinstance(value, Mapping):
        return list(value.items())
    return []


def with_tests(value: Any, others: Mapping[int, Tested]) -> Any:
    """Return a value with each test in it replaced by another: id(test) -> the other.

    What holds no test is left as it is.
    """
    if isinstance(value, Tested):
        return others[id(value)]
    if not tests_in(value):
        return value
    changed = {key: with_tests(inner, others) for key, inner in _inside(value)}
    if isinstance(value, tuple):
        return tuple(changed.values())
    if isinstance(value, Mapping):
        return changed
    return dataclasses.replace(value, **changed)
