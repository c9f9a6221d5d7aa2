"""Whoever watches a run: a progress bar, a log, nobody."""

from __future__ import annotations

from typing import Protocol

from melaudit.stopwatch import Stopwatch


class Observer(Protocol):
    """Whoever watches a run: a progress bar, a log, nobody."""

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        """Begin a stage of `total` images, or of unknown length."""
        ...

    def advance(self, images: int, computed: bool = True) -> None:
        """Count finished images; `computed` is False for those an earlier run had finished."""
        ...

    def note(self, text: str) -> None:
        """Say something the user must know."""
        ...


class Silent:
    """An observer that says nothing."""

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        """Ignore it."""

    def advance(self, images: int, computed: bool = True) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


class Timing:
    """An observer that passes on what it is told, and starts a stopwatch's stages."""

    def __init__(self, observer: Observer, watch: Stopwatch) -> None:
        self._observer, self._watch = observer, watch

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None:
        """Begin a stage."""
        self._watch.stage(name)
        self._observer.stage(name, total, unit)

    def advance(self, images: int, computed: bool = True) -> None:
        """Count finished images."""
        self._observer.advance(images, computed)

    def note(self, text: str) -> None:
        """Say something the user must know."""
        self._observer.note(text)
