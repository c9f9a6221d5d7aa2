"""When a trial ends: absence by the edit alone, use when it is clear, all images otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.rungs.effect import Effect
from melaudit.detectors.rungs.stopping import (
    CLEAR,
    FIRST,
    LAST,
    LOOK,
    carried_out,
    is_clear,
    may_end_early,
)
from melaudit.measurements import Course, Edit, Stop
from melaudit.statistics.estimates import Estimate, Tested

ADD, SKIN = Edit("add", "a ring put in"), Edit("skin", "a ring of skin", "add")


def effect(p_value: float, share: float = 0.4) -> Effect:
    """Return an effect on 50 images that turns so many decisions."""
    tested = Tested(share, share - 0.2, share + 0.2, p_value)
    return Effect(
        ADD, SKIN, SKIN, tested, tested, Estimate(share, share - 0.1, share + 0.1), 50, 10, 30, 0.2,
        0.2, 0.1, Course(80, FIRST, Stop.CLEAR),
    )  # fmt: skip


def test_only_what_is_clear_by_both_tests_and_matters_ends_a_trial() -> None:
    assert is_clear(effect(CLEAR))
    assert not is_clear(effect(1.1 * CLEAR))
    assert not is_clear(effect(CLEAR, share=0.09)), "as clear as can be, and too little to matter"
    weaker = Tested(1.0, 0.5, 1.5, 2 * CLEAR)
    assert not is_clear(dataclasses.replace(effect(CLEAR), margin=weaker))


def carry_out(planned: int, weigh: Callable[[Course], Effect | None]) -> tuple[Course, list[str]]:
    """Carry out a trial, and say what was shown: what, and on how many images."""
    shown: list[str] = []

    def show(what: str) -> Callable[[NDArray[np.int64]], None]:
        return lambda rows: shown.append(f"{what} {rows[0]}-{rows[-1]}")

    rows = np.arange(planned)
    return carried_out(rows[:LOOK], rows, show("edit"), show("placebos"), weigh), shown


def test_what_is_left_open_is_shown_on_all_images_and_nothing_twice() -> None:
    course, shown = carry_out(80, lambda course: effect(0.5))
    assert course == Course(80, LAST)
    assert shown == ["edit 0-49", "placebos 0-49", "edit 50-79", "placebos 50-79"]
    assert carry_out(80, lambda course: None) == (course, shown), "too few answers end nothing"


def test_each_end_is_reached_by_what_was_shown_until_then() -> None:
    nothing = Tested(0.0, -0.05, 0.05, 1.0)
    none = dataclasses.replace(
        effect(1.0, 0.0), share=nothing, margin=nothing, turning=nothing, after=10
    )
    asked: list[Stop] = []

    def weigh(course: Course) -> Effect:
        asked.append(course.stop)
        return dataclasses.replace(none, course=course)

    assert carry_out(80, weigh) == (Course(80, FIRST, Stop.EXCLUDED), ["edit 0-49"])
    assert asked == [Stop.EXCLUDED]
    clear = carry_out(80, lambda course: effect(CLEAR))
    assert clear == (Course(80, FIRST, Stop.CLEAR), ["edit 0-49", "placebos 0-49"])
    few = carry_out(40, lambda course: effect(CLEAR))
    assert few == (Course(40), ["edit 0-39", "placebos 0-39"]), "one look"


def test_what_turns_few_decisions_is_shown_without_placebos_until_only_these_can_tell() -> None:
    little = Tested(0.05, 0.0, 0.14, 1.0)
    few = dataclasses.replace(
        effect(1.0, 0.05), share=little, margin=little, turning=little, after=12
    )
    none = dataclasses.replace(
        few, share=Tested(0.03, 0.0, 0.09, 1.0), turning=Estimate(0.0, 0.0, 0.05), n=80,
    )  # fmt: skip
    shown = ["edit 0-49", "edit 50-79"]

    def weigh(last: Effect) -> Callable[[Course], Effect]:
        return lambda course: dataclasses.replace(
            few if course.error == FIRST else last, course=course
        )

    assert carry_out(80, weigh(none)) == (Course(80, LAST, Stop.EXCLUDED), shown)
    open_still = carry_out(80, weigh(dataclasses.replace(few, n=80)))
    assert open_still == (Course(80, LAST), [*shown, "placebos 0-79"])


def test_few_images_are_looked_at_once_as_they_always_were() -> None:
    assert [may_end_early(planned) for planned in (0, 48, 49, LOOK)] == [False, False, True, True]
    fewest = [dataclasses.replace(effect(0.5), course=Course(80, k)).fewest for k in (1, 0.6, 0.4)]
    assert fewest == [36, 43, 49]
