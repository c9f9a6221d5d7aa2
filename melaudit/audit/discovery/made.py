"""What a discovered artifact of either kind is made from, and what the run knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Artifact, Phrases
from melaudit.audit.discovery.naming import Name
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.detectors.discovered import Origin
from melaudit.measurements import CHUNK, GRID, Array, Measurements

MAX_SOURCES = 24
"""Images of each kind that a part or look is put in and taken out with, at most. Limits memory."""
MIN_SOURCES = 4
"""Images of each kind, at least. Chosen: a round figure, not measured."""
ENOUGH_SOURCES = 8
"""Images of each kind from which half of those that there are will do: those that show most of it,
or least. Chosen, not measured."""
MAX_LACKING = 0.5
"""Amount over the most that others show, up to which an image clearly lacks it. Chosen, not
measured."""
MIN_SHOWN = 5
"""Images of the half for tests that must show it. Chosen, not measured."""


@dataclass(frozen=True)
class SeenMasks:
    """Masks (n, GRID, GRID) of a part, in 255ths, seen anew whenever rows of them are taken.

    Of many images these would be the largest thing that a discovery holds in memory.
    """

    present: NDArray[np.bool_]
    """(n,) images that show the part; the masks of others are empty."""
    places: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
    """Rows (k,) -> where these images show it, (k, side, side); the side divides `GRID`."""

    def __len__(self) -> int:
        """Return n."""
        return len(self.present)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, GRID, GRID)."""
        return len(self.present), GRID, GRID

    @property
    def ndim(self) -> int:
        """Dimensions."""
        return 3

    def __getitem__(self, key: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        rows = np.arange(len(self.present))[key]
        masks = np.zeros((len(rows), GRID, GRID), np.uint8)
        shows = self.present[rows]
        if shows.any():
            masks[shows] = self.seen(rows[shows]) * np.uint8(255)
        return masks

    def seen(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the cells (k, GRID, GRID) where images (k,) that show the part show it."""
        places = self.places(rows)
        times = GRID // places.shape[1]
        return places.repeat(times, 1).repeat(times, 2)


NOT_NAMED_YET = Name(
    "candidate", "Candidate", Phrases("part", "with it", "other", "it", "it"), "", known=False
)
"""What something is called while it is only tried on the half that it was chosen on."""


@dataclass(frozen=True)
class Candidate:
    """Something that a class shows, with what it is put in and taken out with; not named yet."""

    predicted: int
    amount: NDArray[np.float64]
    """(n,) of it in each image, over the most that others show."""
    artifact: Callable[[Name], Artifact]
    name: Callable[[Sequence[str]], Name]
    """Ids that others have -> what it is called."""
    measured: str
    """A sentence on where in the pictures it was looked for."""
    places: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None
    """Rows (k,) -> where these images show it, (k, side, side); None for the whole picture."""

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n,) images that show it."""
        present: NDArray[np.bool_] = self.amount > 1
        return present

    @property
    def masks(self) -> SeenMasks | None:
        """(n, GRID, GRID) where images show it; None for the whole picture."""
        return None if self.places is None else SeenMasks(self.present, self.places)


@dataclass(frozen=True)
class Made:
    """A discovered artifact and what the run knows of it."""

    artifact: Artifact
    origin: Origin
    present: NDArray[np.bool_]
    """(n,) images that show it."""
    columns: Mapping[str, Array]
    """What the pass would have measured of it."""


def images_showing(amount: NDArray[np.float64], ids: Sequence[str]) -> tuple[str, ...]:
    """Return the images with an amount (n,) above 1, those with most first."""
    ordered = np.argsort(-amount, kind="stable")
    return tuple(ids[row] for row in ordered if amount[row] > 1)


def origin_of(
    candidate: Candidate, table: Measurements, half: NDArray[np.bool_], called: Name
) -> Origin:
    """Return where something comes from that was chosen on half of the images (n,)."""
    present, of_class = candidate.present, table.predictions == candidate.predicted
    return Origin(
        tested=~half,
        images=images_showing(candidate.amount, table.ids),
        shown=int((present & half & of_class).sum()),
        predicted=table.classes[candidate.predicted],
        others=float(present[half & table.of_other_classes(candidate.predicted)].mean()),
        resembles=called.said,
        named=called.known,
        measured=candidate.measured,
    )


def made(
    candidate: Candidate, table: Measurements, half: NDArray[np.bool_], taken: Sequence[str]
) -> Made:
    """Name a candidate that was chosen on half of the images (n,), and measure it on all.

    taken: ids that others have.
    """
    called = candidate.name(taken)
    origin = origin_of(candidate, table, half, called)
    columns = _columns(called.id, candidate, table)
    return Made(candidate.artifact(called), origin, candidate.present, columns)


def _columns(identity: str, candidate: Candidate, table: Measurements) -> dict[str, Array]:
    """Return what the pass would have measured of it: (n, ...) by column."""
    amount, present, masks = candidate.amount, candidate.present, candidate.masks
    columns: dict[str, Array] = {
        f"{identity}.score": (amount / (1 + amount)).astype(np.float32),
        f"{identity}.present": present,
    }
    if masks is None:
        return columns
    share, signed, area = (np.zeros(len(present), np.float32) for _ in range(3))
    positive, negative = table["relevance.positive"], table["relevance.negative"]
    showing = np.flatnonzero(present)
    for start in range(0, len(showing), CHUNK):
        rows = showing[start : start + CHUNK]
        there = masks.seen(rows)
        area[rows] = there.mean((1, 2))
        share[rows] = signed[rows] = np.nan
        maps = zip(rows, there, positive[rows], negative[rows], strict=True)
        for row, cells, plus, minus in maps:
            own = plus.astype(np.float64), minus.astype(np.float64)
            total = float(own[0].sum() + own[1].sum())
            if 0 < total < np.inf:
                for_it, against = float(own[0][cells].sum()), float(own[1][cells].sum())
                share[row], signed[row] = (for_it + against) / total, (for_it - against) / total
    return columns | {
        f"{identity}.mask": cast(Array, masks),
        f"{identity}.share": share,
        f"{identity}.signed": signed,
        f"{identity}.area": area,
    }


def most(amount: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows of some images (n,) that show most of something, one half, if that will do.

    Of those just beyond the bound some show something else.
    """
    ordered = np.flatnonzero(rows)
    ordered = ordered[np.argsort(-amount[ordered], kind="stable")]
    return ordered[: min(MAX_SOURCES, max(-(-len(ordered) // 2), ENOUGH_SOURCES))]


def least(amount: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return those of some images (n,) that show least of something, one half, if that is enough.

    What one class shows often is in some images that hardly seem to show it.
    """
    ordered = np.flatnonzero(rows)
    ordered = ordered[np.argsort(amount[ordered], kind="stable")]
    kept = np.zeros_like(rows)
    kept[ordered[: max(-(-len(ordered) // 2), ENOUGH_SOURCES)]] = True
    return kept


def some(rows: NDArray[np.bool_], laboratory: Laboratory, rng: np.random.Generator) -> list[RGB]:
    """Return pictures of some of these images (n,), drawn at random."""
    picked = rng.permutation(np.flatnonzero(rows))[:MAX_SOURCES]
    return [image for _, image in laboratory.pictures(picked)]
