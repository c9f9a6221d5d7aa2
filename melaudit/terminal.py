"""What a user sees in the terminal while a run goes on: progress and notes, on stderr."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

PLAIN_EVERY = 30.0
"""Seconds between two lines of progress where stderr is not a terminal."""


def printable(text: str) -> str:
    """Show control characters (and with them terminal escapes) instead of obeying them."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


class Terminal:
    """Shows a run's stages with images per second and time left; plain where there is no screen."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=quiet, soft_wrap=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._name = ""
        self._total: int | None = None
        self._done = self._computed = 0
        self._since = self._said = 0.0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage of `total` images; without a total it is only named."""
        self._end()
        self._name, self._total = name, total
        self._done = self._computed = 0
        self._since = self._said = time.monotonic()
        if total is None or not self.console.is_terminal:
            self.print(name if total is None else f"{name}: {total} images")
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=False,
        )
        self._progress.start()
        self._task = self._progress.add_task(name, total=total, rate="")

    def advance(self, images: int, computed: bool = True) -> None:
        """Count finished images; those of an earlier run do not count for the rate."""
        self._done += images
        self._computed += images if computed else 0
        now = time.monotonic()
        rate = self._computed / max(now - self._since, 1e-9)
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task, completed=self._done, rate=f"{rate:.1f} images/s" if rate else ""
            )
        elif now - self._said >= PLAIN_EVERY and self._total and rate:
            self._said = now
            left = (self._total - self._done) / rate
            self.print(
                f"{self._name}: {self._done} of {self._total} images, {rate:.1f} images/s, "
                f"{left:.0f} s left"
            )

    def note(self, text: str) -> None:
        """Say something the user must know."""
        self.print(text)

    def print(self, text: str, style: str | None = None) -> None:
        """Print one line to stderr, exactly as given but for control characters."""
        self.console.print(printable(text), style=style, markup=False)

    def _end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._task = None
