"""Figures of performance held against the limits of the intended use, by their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from melaudit.audit.prepare.intended_use import Stated
from melaudit.findings import Acceptance, Answer, Figure, IntendedUse, Performance
from melaudit.wording import names
from melaudit.wording.figures import NBSP, figure, percent_span, rounded_percent

AT_MOST = frozenset({"calibration_error"})
"""Measures that must not exceed their limit."""
NO_SHARE = frozenset({"auc", "calibration_error"})
"""Measures that are written as numbers; the others are shares, in percent."""


def judged(
    use: Stated | None, performance: Performance, classes: Sequence[str], positive: int | None
) -> IntendedUse | None:
    """Hold the figures of an audit against the limits of an intended use, if one is stated."""
    if use is None:
        return None
    return IntendedUse(
        purpose=use.purpose,
        population=use.population,
        reference_standard=use.reference_standard,
        operating_threshold=use.operating_threshold,
        acceptance=tuple(
            _held(measure, limit, *_measured(measure, performance, classes, positive), classes)
            for measure, limit in use.limits.items()
        ),
    )


def _held(
    measure: str, limit: float, found: Figure | None, n: int, classes: Sequence[str]
) -> Acceptance:
    at_least = measure not in AT_MOST
    title = names.measure(measure)
    asked = f"at {'least' if at_least else 'most'} {_written(limit, measure)}"
    if found is None or not all(map(math.isfinite, (found.value, found.low, found.high))):
        said = f"The {title} could not be measured; it must be {asked}. {_why(measure, classes)}"
        return Acceptance(measure, limit, at_least, None, None, None, n, Answer.OPEN, said)
    # What must not exceed a limit is what must reach it, seen from the other side.
    if (found.low >= limit) if at_least else (found.high <= limit):
        answer = Answer.MET
    elif (found.high < limit) if at_least else (found.low > limit):
        answer = Answer.NOT_MET
    else:
        answer = Answer.OPEN
    said = (
        f"The {title} is {_written(found.value, measure)} (95 % interval "
        f"{_interval(found, measure)}, n = {n:,}) and must be {asked}: {answer.value}."
    )
    if answer is Answer.OPEN:
        said += _enough(found, limit, n)
    return Acceptance(measure, limit, at_least, found.value, found.low, found.high, n, answer, said)


def _why(measure: str, classes: Sequence[str]) -> str:
    """Say what is needed to measure a figure."""
    name = measure.removeprefix("recall of ")
    if name != measure and name not in classes:
        return f"There is no class {name}; the classes are {', '.join(classes)}."
    if measure in ("sensitivity", "specificity", "auc"):
        return "It needs labelled images of both sides, and the positive class (--positive)."
    return "It needs labelled images."


def _enough(found: Figure, limit: float, n: int) -> str:
    """Say on how many images the same figure would tell: intervals shrink with their root."""
    away = abs(found.value - limit)
    half = found.value - found.low if found.value > limit else found.high - found.value
    needed = math.inf if away == 0 else n * (half / away) ** 2
    if needed > 1e6:
        return " The figure lies too near the limit for any number of images to tell."
    rounded = float(f"{max(needed, n + 1):.1g}")
    rounded += 10 ** math.floor(math.log10(rounded)) if rounded < needed else 0
    return f" About {rounded:,.0f} such images would tell, if the figure stayed the same."


def _measured(
    measure: str, p: Performance, classes: Sequence[str], positive: int | None
) -> tuple[Figure | None, int]:
    """Return a figure with its interval, None where there is none, and its images."""
    if measure == "accuracy":
        return _figure(p.accuracy, p.accuracy_low, p.accuracy_high), p.n
    if measure == "calibration_error":
        return (p.calibration.error, p.calibration.n) if p.calibration else (None, 0)
    if measure.startswith("recall of "):
        return _recall(measure.removeprefix("recall of "), p)
    if positive is None and len(classes) == 2:
        positive = 1
    if positive is None:
        return None, 0
    name = classes[positive]
    if measure == "sensitivity":
        return _recall(name, p)
    if measure == "specificity" and len(classes) == 2:
        return _recall(classes[1 - positive], p)
    of = next((d for d in p.discrimination if d.target == name), None)
    if of is None:
        return None, 0
    if measure == "auc":
        return of.auc, of.n + of.n_others
    return of.operating.specificity, of.n_others


def _recall(name: str, p: Performance) -> tuple[Figure | None, int]:
    of = next((c for c in p.per_class if c.name == name), None)
    return (None, 0) if of is None else (_figure(of.recall, of.recall_low, of.recall_high), of.n)


def _figure(value: float | None, low: float | None, high: float | None) -> Figure | None:
    return None if value is None or low is None or high is None else Figure(value, low, high)


def _written(value: float, measure: str) -> str:
    written = figure(value) if measure in NO_SHARE else rounded_percent(value, 1)
    return written.replace(NBSP, " ")


def _interval(found: Figure, measure: str) -> str:
    if measure in NO_SHARE:
        return f"{figure(found.low)} to {figure(found.high)}"
    return percent_span(found.low, found.high, 1).replace(NBSP, " ")
