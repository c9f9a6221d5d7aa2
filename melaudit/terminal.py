"""What a user sees in the terminal while a run goes on: progress and notes, on stderr.

On a screen: a bar with images per second and time left. Elsewhere (a log, TERM=dumb): plain lines,
one every half minute and one for each percent at most. NO_COLOR takes colour away, CLICOLOR_FORCE
keeps it where there is no screen.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from melaudit.wording.figures import whole_duration

PLAIN_EVERY = 30.0
"""Seconds between two lines of progress where stderr is no screen."""
SLOW = 0.1
"""Units per second below which only the time left is told."""
WINDOW = 60.0
"""Seconds over which the rate is taken: the first batches are slow and soon forgotten."""

_COMMAND = re.compile(r"^(\s*)(::|##\[)", re.MULTILINE)
"""How a line begins that a build server would obey."""


def printable(text: str) -> str:
    """Show control characters (and with them terminal escapes) instead of obeying them."""
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    return _COMMAND.sub(lambda m: f"{m[1]}\\x{ord(m[2][0]):02x}{m[2][1:]}", shown)


class Rate:
    """Images per second over the last minute, of those that were computed."""

    def __init__(self, now: float) -> None:
        self._marks: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, images: int, now: float) -> None:
        """Count images that were finished at `now`."""
        self._marks.append((now, self._marks[-1][1] + images))
        if len(self._marks) == 3 and self._marks[0][1] == 0:
            self._marks.popleft()  # until the first batch is done, processes start and caches fill
        # The mark before the window stays: from it on the window is measured.
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()

    def per_second(self) -> float | None:
        """Return the rate; None before anything was computed."""
        (then, before), (now, after) = self._marks[0], self._marks[-1]
        return (after - before) / (now - then) if after > before and now > then else None


class Terminal:
    """Shows a run's stages with images per second and time left; plain where there is no screen."""

    def __init__(self, *, quiet: bool = False) -> None:
        # rich itself knows NO_COLOR, which also wins over CLICOLOR_FORCE.
        forced = os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
        self.console = Console(
            stderr=True,
            highlight=False,
            quiet=quiet,
            soft_wrap=True,
            force_terminal=True if forced else None,
        )
        self.live = self.console.file.isatty() and not self.console.is_dumb_terminal
        """Whether lines may be drawn over."""
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._name, self._unit = "", "images"
        self._total: int | None = None
        self._done = self._percent = 0
        self._since = self._said = 0.0
        self._rate = Rate(0.0)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        """Begin a stage of `total` images, or whatever it counts; without a total it is named."""
        self._end()
        self._name, self._total, self._done, self._unit = name, total, 0, unit
        self._since = self._said = time.monotonic()
        self._percent = 0
        self._rate = Rate(self._since)
        if total is None or not self.live:
            self.print(name if total is None else f"{name}: {total} {unit}")
            return
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            console=self.console,
        )
        self._progress.start()
        self._task = self._progress.add_task(name, total=total, rate="")

    def advance(self, images: int, computed: bool = True) -> None:
        """Count finished images; those of an earlier run do not count for the rate."""
        now = time.monotonic()
        self._done += images
        if computed:
            self._rate.add(images, now)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._done, rate=self._pace())
        elif self._due(now) and self._pace():
            self._said, self._percent = now, self._reached()
            self.print(f"{self._name}: {self._done} of {self._total} {self._unit}, {self._pace()}")

    def note(self, text: str) -> None:
        """Say something the user must know."""
        self.print(text)

    def print(self, text: str, style: str | None = None) -> None:
        """Print one line to stderr, exactly as given but for control characters."""
        self.console.print(printable(text), style=style, markup=False)

    def table(self, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """Print a table to stderr; where there is no screen, a line for each row."""
        if not self.live:
            for row in rows:
                self.print("  " + "  ".join(cell for cell in row if cell))
            return
        shown = Table(*columns)
        for row in rows:
            shown.add_row(*(Text(printable(cell)) for cell in row))
        self.console.print(shown, soft_wrap=False)

    def _due(self, now: float) -> bool:
        """Tell whether a log has to hear of progress again."""
        return now - self._said >= PLAIN_EVERY and self._reached() > self._percent

    def _reached(self) -> int:
        """Return how far the stage is, in percent; 0 where that is not known."""
        return 100 * self._done // self._total if self._total else 0

    def _pace(self) -> str:
        """Return "1.6 images/s, 1 min 48 s left", the rate unless it is slow; or nothing yet."""
        rate = self._rate.per_second()
        if rate is None or self._total is None:
            return ""
        left = max(0, self._total - self._done)
        told = [f"{rate:.1f} {self._unit}/s"] if rate >= SLOW else []
        return ", ".join([*told, *([f"{whole_duration(left / rate)} left"] if left else [])])

    def _end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        elif self._total and self._done and not self.live:
            took = whole_duration(time.monotonic() - self._since)
            self.print(f"{self._name}: {self._done} {self._unit} in {took}")
        self._progress = self._task = None
        self._total = None
