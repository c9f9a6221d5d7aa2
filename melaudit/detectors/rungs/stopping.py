"""When the trial of one edit ends: how many images are edited, and what is looked at meanwhile.

A trial that may end early looks twice. At the first look the edit alone is shown, on `LOOK` images.
Where it turns so few decisions that a change which matters is excluded, the trial ends: a placebo
could only take off from that, so none is shown. Where it turns fewer than matter, but not few
enough to exclude that, the edit alone is shown on the other images that were planned as well, and
the trial ends if that excludes it. Else the placebos of the first images are shown, and it ends if
decisions change beyond them as clearly as `CLEAR`. Everything else is shown on all the images that
were planned. The looks share the error (`statistics.looks`), so that use is claimed falsely no more
often than by one look at all of them. Absence may be claimed at either of two last looks with one
share, by the edit alone and against its placebos: both are of the same answers to the edit, so one
seldom claims what the other does not.

`python -m benchmarks.stopping` measures how often, and what ending early costs in power.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from melaudit.detectors.rungs.effect import MIN_SHARE, Effect
from melaudit.detectors.rungs.trials import Rows
from melaudit.measurements import Course, Stop
from melaudit.statistics.looks import fewest_to_exclude

LOOK = 50
"""Images at the first look: the next number that two classes can share from 49 on, by which, if
none turns, a change that matters is excluded with the first look's share of the error."""
FIRST, LAST = 0.4, 0.6
"""Shares of the error of the first look and of the last. Chosen: as much for the last as lets it
exclude a change where 2 of 80 turn, as a single look would."""
CLEAR = 0.001
"""p-value of the first look, its share of the error counted, from which on more images would only
show it again. Chosen: well below .05, so that it stays clear after correction over a run's tests.
"""


def may_end_early(planned: int) -> bool:
    """Tell whether a trial of so many images has a first look that could exclude anything."""
    return planned >= fewest_to_exclude(MIN_SHARE, FIRST)


def is_clear(effect: Effect) -> bool:
    """Tell whether decisions change so clearly that more images would only show it again."""
    return effect.turns and max(effect.share.p_value, effect.margin.p_value) <= CLEAR


def carried_out(
    first: Rows,
    planned: Rows,
    edit: Callable[[Rows], None],
    placebos: Callable[[Rows], None],
    effect: Callable[[Course], Effect | None],
) -> Course:
    """Carry out the trial of one edit until it ends, and return how it went.

    first: the images of the first look; planned: all of them. `edit` and `placebos` show the model
    images with either; `effect` weighs what it has said so far, None where that is too little.
    """
    if not may_end_early(len(planned)):
        edit(planned)
        placebos(planned)
        return Course(len(planned))
    rest = np.setdiff1d(planned, first)
    edit(first)
    alone = effect(ending := Course(len(planned), FIRST, Stop.EXCLUDED))
    if alone is not None and alone.excluded is True:
        return ending
    if alone is not None and alone.estimate < MIN_SHARE:
        edit(rest)
        alone = effect(ending := Course(len(planned), LAST, Stop.EXCLUDED))
        if alone is not None and alone.excluded is True:
            return ending
        placebos(planned)
        return Course(len(planned), LAST)
    placebos(first)
    beyond = effect(ending := Course(len(planned), FIRST, Stop.CLEAR))
    if beyond is not None and is_clear(beyond):
        return ending
    edit(rest)
    placebos(rest)
    return Course(len(planned), LAST)
