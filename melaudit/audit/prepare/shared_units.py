"""Work on many image files, cut into units that are kept, and shared with other processes.

What a unit gave lies in a file, whole or not at all, so that work that was interrupted goes on, and
so that processes which see one folder each take what nobody computes.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from melaudit.audit.leases import Turns, Units
from melaudit.images.worker_pool import Work, results
from melaudit.observer import Observer
from melaudit.publish import publish

R = TypeVar("R")

Paths = Sequence[str]


@dataclass(frozen=True)
class Keeping(Generic[R]):
    """How what a unit gave is kept."""

    place: Callable[[int], Path]
    """The file of a unit. Its name changes with all that the result depends on."""
    read: Callable[[Path, int], R | None]
    """Read the result for so many images; None where it is not there, or damaged."""
    written: Callable[[R], bytes]
    joined: Callable[[Sequence[R]], R]
    """Put the results of parts together, in their order."""


def of_all(
    units: Sequence[Paths],
    work: Work[Paths, R],
    keeping: Keeping[R],
    stage: str,
    observer: Observer,
    turns: Turns,
    *,
    workers: int,
    at_a_time: int,
) -> list[R]:
    """Return what `work` says of the files of each unit; the same for any `workers` and `turns`.

    `at_a_time` images are handed to one of the processes together. Raises StoreError for a folder
    that cannot be written, and what `work` and `turns` raise.
    """
    kept: dict[int, R] = {}

    def there(unit: int) -> bool:
        found = keeping.read(keeping.place(unit), len(units[unit]))
        if found is not None:
            kept[unit] = found
        return found is not None

    def came(unit: int) -> None:
        observer.advance(len(units[unit]), computed=False)

    todo = [unit for unit in range(len(units)) if not there(unit)]
    if todo:
        observer.stage(stage, sum(len(units[unit]) for unit in todo))
    owners: deque[tuple[int, int]] = deque()

    due = Units(todo, turns, lambda unit: keeping.place(unit).stem, there, came)
    while due.left:
        handed = _handed(due, units, owners, at_a_time)
        with contextlib.closing(results(work, handed, workers)) as found:
            for unit, some in itertools.groupby(_owned(found, owners), lambda pair: pair[0]):
                parts = []
                for _, images, part in some:
                    parts.append(part)
                    observer.advance(images)
                kept[unit] = keeping.joined(parts)
                publish(keeping.place(unit), keeping.written(kept[unit]))
                due.release(unit)
        due.wait()
    return [kept[unit] for unit in range(len(units))]


def _handed(
    due: Units[int], units: Sequence[Paths], owners: deque[tuple[int, int]], at_a_time: int
) -> Iterator[Paths]:
    """Yield the files of each unit that is this process's, some at a time; note whose they are."""
    for unit in due.free():
        for chunk in chunks(units[unit], at_a_time):
            owners.append((unit, len(chunk)))
            yield chunk


def _owned(found: Iterator[R], owners: deque[tuple[int, int]]) -> Iterator[tuple[int, int, R]]:
    """Yield, with each result, its unit and of how many images it is."""
    for result in found:
        yield (*owners.popleft(), result)


def chunks(paths: Paths, size: int) -> list[Paths]:
    """Return paths, so many at a time."""
    return [paths[start : start + size] for start in range(0, len(paths), size)]
