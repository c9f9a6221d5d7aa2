"""How far the trial of each edit went, and why no further."""

from __future__ import annotations

from collections.abc import Iterator

from melaudit.detectors.rungs.effect import MIN_SHARE
from melaudit.detectors.rungs.trials import LEFT_ALONE
from melaudit.findings import Tried
from melaudit.measurements import Measurements, Stop, Trials
from melaudit.wording.sentences import points

REASONS = {
    Stop.ALL: "All images that were planned were edited.",
    Stop.EXCLUDED: f"The edit alone turns so few decisions that a change of {points(MIN_SHARE)} or "
    "more is excluded, whatever a placebo does.",
    Stop.CLEAR: "Decisions change so clearly that more images would only show it again.",
}


def tried(table: Measurements) -> tuple[Tried, ...]:
    """Return how the trial of each edit went, in the order of the artifacts."""
    return tuple(each for name, trials in table.trials.items() for each in _of(name, trials))


def _of(artifact: str, trials: Trials) -> Iterator[Tried]:
    for edit in ("add", "remove"):
        n, course = len(trials.of(edit)), trials.course(edit)
        if n:
            placebos = [
                len(trials.of(each.id))
                for each in trials.edits
                if each.placebo_for == edit
                and each.look_alike is None
                and not each.id.startswith(LEFT_ALONE)
            ]
            yield Tried(
                artifact=artifact,
                edit=edit,
                n=n,
                planned=course.planned,
                placebos=max(placebos, default=0),
                error=course.error,
                stop=course.stop.value,
                reason=REASONS[course.stop],
            )
