"""What the pass measured and what edits showed: the values that detectors conclude from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from melaudit.findings import Trust, Words

Array = NDArray[Any]


GRID = 32
"""Side of the low-resolution maps and masks kept for every image (divides 128, 224, 256, 384)."""

WITHOUT_REGISTERS = "without_registers."
"""Begins the names of columns that were measured once more, on maps without relevance on registers
of a transformer."""

CHUNK = 4096
"""Rows of a large column that are held in memory at a time."""

EMPTY_MAP = 1e-12
"""Keeps the sum of a map that is zero everywhere from dividing by zero; others sum to about 1."""


@dataclass(frozen=True)
class Edit:
    """One way in which images were edited."""

    id: str
    """"add", "remove", "bare" (the artifact on a picture without the object), or a placebo's id."""
    title: str
    """What was done, as a phrase: "a black ring painted on"."""
    placebo_for: str | None = None
    """"add" or "remove" for a placebo of that edit, which should mean nothing."""
    look_alike: str | None = None
    """For a placebo that shares a property with the artifact: what the cue is if it acts alike."""


class Stop(StrEnum):
    """Why no more images were edited."""

    ALL = "all"
    """All that were planned were."""
    EXCLUDED = "excluded"
    """The edit alone turns so few decisions that a change which matters is excluded, whatever its
    placebos do: none were shown."""
    CLEAR = "clear"
    """Decisions change so clearly that more images would only show it again."""


@dataclass(frozen=True)
class Course:
    """How the trial of one edit was planned, and where it ended."""

    planned: int = 0
    """Images to edit, if it does not end before."""
    error: float = 1.0
    """Share of the error of the look that it ended with; the looks of a trial share it."""
    stop: Stop = Stop.ALL


@dataclass(frozen=True)
class Trials:
    """Outputs of the model on images with and without one artifact: m trials, each of one edit."""

    edits: tuple[Edit, ...]
    edit: NDArray[np.int64]
    """(m,) index into `edits`."""
    rows: NDArray[np.int64]
    """(m,) row of the `Measurements` that was edited."""
    dose: NDArray[np.float64]
    """(m,) 0 to 1."""
    before: NDArray[np.float32]
    """(m, K) logits of the picture as it was, by the same path as the edited one."""
    after: NDArray[np.float32]
    """(m, K) logits of the edited picture."""
    distance: NDArray[np.float64]
    """(m,) how far the edited picture lies from natural ones in the model's own features, in units
    of the usual distance between natural ones; NaN where it was not measured."""
    courses: Mapping[str, Course] = field(default_factory=dict)
    """"add" or "remove" -> how its trial went; one look at all images where nothing is said."""

    def course(self, name: str) -> Course:
        """Return how the trial of an edit went."""
        return self.courses.get(name) or Course(len(self.of(name)))

    def moved(self, place: NDArray[np.int64]) -> Trials:
        """Return the trials with every row at another place (rows,); without those at none, -1."""
        kept = place[self.rows] >= 0
        return replace(
            self,
            edit=self.edit[kept],
            rows=place[self.rows[kept]],
            dose=self.dose[kept],
            before=self.before[kept],
            after=self.after[kept],
            distance=self.distance[kept],
        )

    def of(self, identity: str, dose: float = 1.0) -> NDArray[np.int64]:
        """Return the trials of one edit at one dose, in the order of the rows edited."""
        chosen = [i for i, edit in enumerate(self.edits) if edit.id == identity]
        found = np.flatnonzero(np.isin(self.edit, chosen) & np.isclose(self.dose, dose))
        ordered: NDArray[np.int64] = found[np.argsort(self.rows[found], kind="stable")]
        return ordered


@dataclass(frozen=True)
class Pictures:
    """Images that the model was trained on, as far as they were looked at."""

    ids: tuple[str, ...]
    signatures: NDArray[np.uint8]
    """(t, d) see `signatures`."""


@dataclass(frozen=True)
class SomeRows:
    """Some rows of a column, each read when it is asked for: all of them may not fit into memory.

    It stands for the array `column[rows]` where rows are taken, by index or by slice. As a whole it
    is read by `numpy.asarray`.
    """

    column: Array
    """(n, ...)."""
    rows: NDArray[np.int64]
    """(m,)."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, ...)."""
        return (len(self.rows), *self.column.shape[1:])

    @property
    def ndim(self) -> int:
        """Dimensions."""
        return self.column.ndim

    def __getitem__(self, key: NDArray[np.int64] | slice) -> Array:
        return self.column[self.rows[key]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.column[self.rows], dtype)


def _of_rows(column: Array, rows: NDArray[np.int64]) -> Array:
    """Return some rows of a column, which are read when they are taken if a row has many values."""
    return column[rows] if column.ndim == 1 else cast(Array, SomeRows(column, rows))


Features = NDArray[np.floating] | SomeRows
"""(m, d) what images are compared by."""


@dataclass(frozen=True)
class Measurements:
    """The whole data set as columns, one row per image that was read; what `conclude` works on."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    """(n,) class index; -1 where unknown."""
    predictions: NDArray[np.int64]
    targets: NDArray[np.int64]
    logits: NDArray[np.float32]
    """(n, K)."""
    classes: tuple[str, ...]
    positive: int | None
    """Index of the positive class; None where the user named none."""
    columns: Callable[[str], Array]
    """columns("dark_ring.score") -> (n, ...): one detector's measurement; see `__getitem__`."""
    layer: str
    explanations: Trust
    """TRUSTED while the checks themselves conclude; their joint outcome for all others."""
    seed: int
    metadata: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    """Column of the data table -> (n,) cells: text, numbers, None or "" where nothing is known.
    patient_id, lesion_id, site, sex, age and source go by these names."""
    groups: NDArray[np.object_] | None = None
    """(n,) text: rows with the same one show the same patient (or lesion) and are resampled
    together; an image of unknown patient is a group of its own. None when nothing is known."""
    labelled: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)
    """Artifact that no finder knows -> (n,) what the user says: 1 shows it, 0 does not, -1 unknown.
    """
    trials: Mapping[str, Trials] = field(default_factory=dict)
    """Artifact id -> what became of decisions when it was added, removed or imitated."""
    training: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.int64]]] = field(
        default_factory=dict
    )
    """Artifact id -> (t,) whether the images the model was trained on show it, and their labels."""
    training_properties: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]] = field(
        default_factory=dict
    )
    """Property (see `detectors.measures.properties`) -> its value (t,) in the images the model was
    trained on, NaN where it is unknown, and their labels."""
    learned: Pictures | None = None
    """None where the training images are not known."""
    above_chance: bool = True
    """Whether the predictions follow the labels. Where they do not, nothing the model does can be a
    shortcut, and something is wrong with the model or the data."""
    words: Words = field(default_factory=Words)
    """What sentences call the things of the field."""
    shift: tuple[float, ...] = ()
    """What the user's threshold took off each of the K logits; () for none. Decisions are by the
    logits as they are, probabilities by those before."""
    without_registers: bool = False
    """Whether relevance on a transformer's registers is left out of `absolute_shares`."""

    def __getitem__(self, name: str) -> Array:
        """Return a measured column, named "detector.measurement".

        `relevance.positive` and `relevance.negative` (n, GRID, GRID) float32 always exist: the
        positive and the negated negative part of each map, each pixel's share of the image's total
        absolute relevance (both together sum to 1). So do, where there is a `layer`,
        `relevance.concepts` (n, channels), the channels' relevance divided by the image's sum of
        absolute channel relevance. An array of more than one dimension may be larger than memory:
        take the rows that you need, or go through it `CHUNK` rows at a time. None can be written
        to.
        Raises KeyError for a name that nothing measured.
        """
        return self.columns(name)

    def of_other_classes(self, index: int) -> NDArray[np.bool_]:
        """Return which images (n,) are neither predicted as a class nor labelled as it.

        What a class alone shows is told beside these. An image of the class that is decided
        otherwise may show it, too, and is no example of what others show.
        """
        others: NDArray[np.bool_] = (self.predictions != index) & (self.labels != index)
        return others

    def of(self, rows: NDArray[np.bool_]) -> Measurements:
        """Return the same of some images (n,), as if there were no others.

        Trials of other images are left out. What was learned of training images stays.
        """
        at = np.flatnonzero(rows)
        place = np.full(len(rows), -1)
        place[at] = np.arange(len(at))
        return replace(
            self,
            ids=tuple(self.ids[row] for row in at),
            labels=self.labels[at],
            predictions=self.predictions[at],
            targets=self.targets[at],
            logits=self.logits[at],
            columns=lambda name: _of_rows(self.columns(name), at),
            metadata={name: cells[at] for name, cells in self.metadata.items()},
            groups=None if self.groups is None else self.groups[at],
            labelled={name: codes[at] for name, codes in self.labelled.items()},
            trials={key: trials.moved(place) for key, trials in self.trials.items()},
        )

    def absolute_shares(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the maps of some images, (m, GRID * GRID), without their signs.

        Each value is the cell's share of the map's absolute relevance: a map sums to 1. Maps that
        are zero everywhere stay zero.
        """
        positive, negative = self["relevance.positive"], self["relevance.negative"]
        absolute = (positive[rows].astype(np.float64) + negative[rows]).reshape(len(rows), -1)
        if self.without_registers:
            absolute *= 1 - self["register_tokens.cells"][rows].reshape(len(rows), -1) / 255
        # Maps are kept in half precision, so that their sums are only about 1.
        shares: NDArray[np.float64] = absolute / np.maximum(
            absolute.sum(1, keepdims=True), EMPTY_MAP
        )
        return shares
