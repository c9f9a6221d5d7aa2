"""Pictures as the last layer gets them: images as they are, and with an artifact put in or out.

Each picture goes through the model once. Whatever head is asked about afterwards, its logits follow
from these features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from melaudit.artifacts.interface import RGB, Artifact
from melaudit.audit.edits.attempts import beside, neutral, put_in, taken_out
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.mitigation.head import Head, features_of
from melaudit.observer import Observer, Silent

Features = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """Pictures of m images after the same edit, or none."""

    features: Features
    """(m, d)."""
    rows: Rows
    """(m,) the images, in order."""
    title: str = ""
    """What was done: "a ring of skin colour"."""

    def of(self, rows: Rows) -> View:
        """Return the pictures of those of the images that are here."""
        at = np.flatnonzero(np.isin(self.rows, rows))
        return View(self.features[at], self.rows[at], self.title)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class PutIn:
    """The same images with an artifact put in, and with each placebo that means nothing."""

    added: View
    placebos: tuple[View, ...]


@dataclass
class Eyes:
    """What shows pictures to the model and remembers the features of images as they are."""

    laboratory: Laboratory
    head: Head
    look: Callable[[Tensor], Features]
    """See `features_of`."""
    observer: Observer = field(default_factory=Silent)
    _known: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def natural(self, rows: Iterable[int]) -> View:
        """Return the images as they are; those that cannot be read any more are left out."""
        wanted = sorted({int(row) for row in rows})
        new = [row for row in wanted if row not in self._known]
        for batch in self.laboratory.viewer.full_batches(self.laboratory.pictures(new)):
            for (row, _), found in zip(batch, self._shown([p for _, p in batch]), strict=True):
                self._known[row] = found
        there = [row for row in wanted if row in self._known]
        return View(self._stacked([self._known[row] for row in there]), np.array(there, np.int64))

    def put_in(self, artifact: Artifact, rows: Rows, seed: int) -> PutIn:
        """Put an artifact into images, and its neutral placebos, as an audit does."""
        found: dict[str, tuple[str, list[int], list[NDArray[np.float32]]]] = {}
        others = beside(artifact, rows, self.laboratory, seed, neutral)
        attempts = itertools.chain(put_in(artifact, rows, self.laboratory, seed), others)
        for batch in self.laboratory.viewer.full_batches(attempts):
            for attempt, seen in zip(batch, self._shown([a.picture for a in batch]), strict=True):
                _, of, features = found.setdefault(attempt.edit.id, (attempt.edit.title, [], []))
                of.append(attempt.row)
                features.append(seen)
        views = {
            name: View(self._stacked(features), np.array(of, np.int64), title)
            for name, (title, of, features) in found.items()
        }
        added = views.pop("add", View(self._stacked([]), np.empty(0, np.int64)))
        return PutIn(added, tuple(views.values()))

    def taken_out(self, artifact: Artifact, rows: Rows) -> View:
        """Take an artifact out of the images in which a place for it is found."""
        of: list[int] = []
        features: list[NDArray[np.float32]] = []
        attempts = taken_out(artifact, rows, self.laboratory)
        for batch in self.laboratory.viewer.full_batches(attempts):
            of.extend(attempt.row for attempt in batch)
            features.extend(self._shown([attempt.picture for attempt in batch]))
        return View(self._stacked(features), np.array(of, np.int64))

    def _shown(self, pictures: Sequence[RGB]) -> Features:
        x = self.laboratory.viewer.inputs(pictures)
        with self.laboratory.viewer.explainer.forward.bare(x):
            found: Features = self.look(x)
        self.observer.advance(len(pictures))
        return found

    def _stacked(self, features: Sequence[NDArray[np.float32]]) -> Features:
        width = self.head.weight.shape[1]
        return np.stack(features) if features else np.empty((0, width), np.float32)


@contextmanager
def eyes(laboratory: Laboratory, head: Head, observer: Observer) -> Iterator[Eyes]:
    """Yield what shows pictures to the laboratory's model, as its head sees them."""
    with features_of(laboratory.viewer.explainer.model, head) as look:
        yield Eyes(laboratory, head, look, observer)
