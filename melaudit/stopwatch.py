"""Where the time of a run goes: processor seconds and images shown to the model, part by part.

Parts lie within parts: stages of a run, detectors within the pass. Whoever does a part names it by
`timed`, whoever runs the model says so by `shown`; both do nothing unless a stopwatch is `running`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

MIN_SHARE = 0.02
"""Share of all time from which a part of a stage has a row of its own. Chosen, not measured."""


def processor_seconds() -> float:
    """Return the processor seconds of this process, and of its children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


@dataclass(frozen=True)
class Mark:
    """A moment at which a part began or ended."""

    name: str
    begins: bool
    at: float
    """Seconds since the stopwatch began."""
    images: int
    """Images shown to the model until then."""


@dataclass(frozen=True)
class Part:
    """What one part took, all its turns together."""

    path: tuple[str, ...]
    """The names of the parts around it, and its own."""
    seconds: float
    images: int
    """Images shown to the model; one shown twice counts twice."""


class Stopwatch:
    """Notes when parts begin and end, by a clock that gives seconds."""

    def __init__(self, clock: Callable[[], float] = processor_seconds) -> None:
        self._clock, self._begun = clock, clock()
        self._open: list[Mark] = []
        self._images = 0
        self.marks: list[Mark] = []
        """In the order of time; parts that begin within another end within it."""

    def begin(self, name: str) -> Mark:
        """Begin a part within those that are going on."""
        self._open.append(self._marked(name, begins=True))
        return self._open[-1]

    def end(self, begun: Mark) -> None:
        """End a part, and what began within it; nothing where that has ended already."""
        while any(mark is begun for mark in self._open):
            self._marked(self._open.pop().name, begins=False)

    def stage(self, name: str) -> None:
        """End all that is going on, and begin a stage."""
        self.stop()
        self.begin(name)

    def stop(self) -> None:
        """End all that is going on."""
        if self._open:
            self.end(self._open[0])

    def count(self, images: int) -> None:
        """Count images that the model is shown."""
        self._images += images

    def _marked(self, name: str, *, begins: bool) -> Mark:
        self.marks.append(Mark(name, begins, self._clock() - self._begun, self._images))
        return self.marks[-1]


_RUNNING: ContextVar[Stopwatch | None] = ContextVar("running", default=None)


@contextmanager
def running(watch: Stopwatch) -> Iterator[Stopwatch]:
    """Have a stopwatch note what is done within; all parts end with it."""
    before = _RUNNING.set(watch)
    try:
        yield watch
    finally:
        watch.stop()
        _RUNNING.reset(before)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Name what is done within as a part."""
    watch = _RUNNING.get()
    if watch is None:
        yield
        return
    begun = watch.begin(name)
    try:
        yield
    finally:
        watch.end(begun)


def shown(images: int) -> None:
    """Say that the model is shown so many images, forward once."""
    watch = _RUNNING.get()
    if watch is not None:
        watch.count(images)


def parts(marks: list[Mark]) -> tuple[Part, ...]:
    """Add up the turns of each part, in the order in which they first began."""
    seconds: dict[tuple[str, ...], float] = {}
    images: dict[tuple[str, ...], int] = {}
    begun: list[Mark] = []
    for mark in marks:
        if mark.begins:
            begun.append(mark)
            seconds.setdefault(tuple(each.name for each in begun), 0.0)
            continue
        path = tuple(each.name for each in begun)
        start = begun.pop()
        seconds[path] += mark.at - start.at
        images[path] = images.get(path, 0) + mark.images - start.images
    return tuple(Part(path, took, images.get(path, 0)) for path, took in seconds.items())


def table(marks: list[Mark]) -> list[tuple[str, ...]]:
    """Return (part, seconds, share, images shown to the model) as text, and a row for all.

    Each stage has a row, and below it those of its parts that took `MIN_SHARE` of all time.
    """
    every = parts(marks)
    whole = sum(part.seconds for part in every if len(part.path) == 1)
    told = [p for p in every if len(p.path) == 1 or _counts(p, whole)]
    told.sort(key=lambda part: [every.index(_above(every, part, k)) for k in range(len(part.path))])
    rows: list[tuple[str, ...]] = [
        ("  " * (len(p.path) - 1) + p.path[-1], *_figures(p.seconds, whole, p.images)) for p in told
    ]
    images = sum(part.images for part in every if len(part.path) == 1)
    return [*rows, ("all", *_figures(whole, whole, images))]


def speedscope(marks: list[Mark], name: str) -> dict[str, Any]:
    """Return the marks as speedscope (https://www.speedscope.app) reads them: an evented profile.

    A frame is a part, not a function: its width is the processor seconds from begin to end.
    """
    frames = list(dict.fromkeys(mark.name for mark in marks))
    place = {frame: i for i, frame in enumerate(frames)}
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": name,
        "exporter": "melaudit",
        "shared": {"frames": [{"name": frame} for frame in frames]},
        "profiles": [
            {
                "type": "evented",
                "name": f"{name}: processor seconds",
                "unit": "seconds",
                "startValue": 0,
                "endValue": max((mark.at for mark in marks), default=0.0),
                "events": [
                    {"type": "O" if m.begins else "C", "frame": place[m.name], "at": m.at}
                    for m in marks
                ],
            }
        ],
    }


def _counts(part: Part, whole: float) -> bool:
    return len(part.path) == 2 and part.seconds >= MIN_SHARE * whole


def _above(every: tuple[Part, ...], part: Part, k: int) -> Part:
    """Return the part around a part, k levels down from its stage."""
    return next(p for p in every if p.path == part.path[: k + 1])


def _figures(seconds: float, whole: float, images: int) -> tuple[str, str, str]:
    share = 100 * seconds / whole if whole else 0.0
    return f"{seconds:.1f}", f"{share:.1f} %", f"{images:,}"
