"""What a detector is: `measure` inside the pass, `conclude` once on the table.

Because the two halves share nothing but named columns, the same detector works on 50 images or
400,000, in one process or many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from melaudit.artifacts.interface import Artifact, Found, Mask
from melaudit.findings import Check, Finding, NotFound, Skipped, Trust

Array = NDArray[Any]

GRID = 32
"""Side of the low-resolution maps and masks kept for every image (divides 128, 224, 256, 384)."""

Result = Finding | Check | NotFound | Skipped


class Attributor(Protocol):
    """The part of `melaudit.relevance.Explainer` that a detector may call on sampled images."""

    def lrp(self, x: Tensor, target: Tensor) -> Tensor:
        """Return maps (N, H, W) for the classes `target` (N,)."""
        ...

    def concepts(self, x: Tensor, target: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return, per layer, the channels' relevance (N, channels)."""
        ...

    def crp(self, x: Tensor, target: Tensor, layer: str, channels: Sequence[int]) -> Tensor:
        """Return conditional maps (N, len(channels), H, W)."""
        ...

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of the model as it was given, with no engine on it."""
        ...

    def randomised(self, depths: Sequence[float], seed: int) -> Iterator[Attributor]:
        """Yield the same for a copy of the model, its weights shuffled down to each depth in turn.

        Depths are shares of the layers from the output down, growing; each explainer is of use
        until the next is asked for.
        """
        ...

    def both_engines(self) -> AbstractContextManager[tuple[Attributor, Attributor]] | None:
        """Give this engine and another, on copies of the model, with biases treated alike.

        None where there is no other.
        """
        ...


def locate(
    artifact: Artifact, image: NDArray[np.uint8], told: Found | None, seen: Found | None = None
) -> Found:
    """Return where an artifact is in an image: the user's word, `told`, before the finder's.

    Where the user says that it is there but not where, the finder's mask tells. `seen` is what the
    finder saw, if it has looked already.
    """
    if told is None:
        return seen or artifact.find(image)
    if told.present and not told.mask.any():
        return replace(told, mask=(seen or artifact.find(image)).mask)
    return told


@dataclass(frozen=True)
class Batch:
    """What the pass shows to a detector: N images and what the model made of them."""

    ids: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    """Each (h, w, 3) RGB, as read; shrunk to 1024 pixels on the longer side if larger."""
    inputs: Tensor
    """(N, C, H, W) preprocessed, on the model's device."""
    labels: NDArray[np.int64]
    """(N,) class index; -1 where unknown."""
    predictions: NDArray[np.int64]
    """(N,) class index."""
    targets: NDArray[np.int64]
    """(N,) the class that `relevance` explains."""
    logits: NDArray[np.float32]
    """(N, K)."""
    relevance: NDArray[np.float32]
    """(N, H, W) signed; positive speaks for the target."""
    start: NDArray[np.float32]
    """(N,) relevance put in at the output."""
    absorbed: NDArray[np.float32] | None
    """(N,) relevance that stayed in biases and stabilisers; None when the engine cannot tell."""
    concepts: NDArray[np.float32]
    """(N, channels) relevance of the concept layer's channels."""
    layer: str
    """The concept layer; "" for a model that has none, and then no channels."""
    sampled: NDArray[np.bool_]
    """(N,) True for the seeded sample on which expensive probes may run."""
    attributor: Attributor
    project: Callable[[NDArray[Any], int], NDArray[np.float32]]
    """project(mask (h, w), i) -> (H, W): where the pixels of image i end up in the model's input;
    float coverage 0 to 1, exactly as preprocessing moved the pixels (resize, crop)."""
    unknown: tuple[str, ...] = ()
    """Operations the engine had no rule for."""
    few: NDArray[np.bool_] | None = None
    """(N,) True for the handful of the run's sampled images on which probes may run that cost many
    passes each; None allows them on all sampled."""
    sizes: tuple[tuple[int, int] | None, ...] | None = None
    """(N,) (width, height) as in the file, None where it is unknown."""

    lesions: tuple[Mask | None, ...] | None = None
    """(N,) the user's masks of the lesion, each (h, w) as its image; None for an image without a
    usable one, and altogether when the user gave none."""
    given: Mapping[str, Sequence[Found | None]] = field(default_factory=dict)
    """Artifact -> (N,) what the user says of each image; None where nothing is said. See `find`."""
    seen: Mapping[str, Sequence[Found | None]] = field(default_factory=dict)
    """Artifact -> (N,) what its finder saw, where it has looked already."""

    def find(self, artifact: Artifact) -> list[Found]:
        """Return what is known of an artifact in each image; see `locate`."""
        nothing: list[Found | None] = [None] * len(self.images)
        told, seen = self.given.get(artifact.id, nothing), self.seen.get(artifact.id, nothing)
        return [locate(artifact, *each) for each in zip(self.images, told, seen, strict=True)]

    conserves: bool = True
    """Whether maps are meant to sum to `start`: LRP's are, those of gradients or occlusion not."""

    @property
    def fewest(self) -> NDArray[np.intp]:
        """Rows of this batch on which the most expensive probes may run."""
        return np.flatnonzero(self.sampled if self.few is None else self.few)


@dataclass(frozen=True)
class Edit:
    """One way in which images were edited."""

    id: str
    """"add", "remove", "bare" (the artifact on skin without a lesion), or a placebo's id."""
    title: str
    """What was done, in words: "a black ring painted on"."""
    placebo_for: str | None = None
    """"add" or "remove" for a placebo of that edit, which should mean nothing."""
    look_alike: str | None = None
    """For a placebo that shares a property with the artifact: what the cue is if it acts alike."""


@dataclass(frozen=True)
class Trials:
    """What the model said of images with and without one artifact: m trials, each one edit."""

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
    """Index of the class that matters (malignant), if told."""
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
    learned: Pictures | None = None
    """None where the training images are not known."""
    skilled: bool = True
    """False where the predictions do not follow the labels: then nothing the model does is a
    shortcut to them, and something is wrong with the model or the data."""

    def __getitem__(self, name: str) -> Array:
        """Return a measured column, named "detector.measurement".

        `relevance.positive` and `relevance.negative` (n, GRID, GRID) float32 always exist: the
        positive and the negated negative part of each map, each pixel's share of the image's total
        absolute relevance (both together sum to 1). So do, where there is a `layer`,
        `relevance.concepts` (n, channels), the channels' relevance divided by the image's sum of
        absolute channel relevance.
        Raises KeyError for a name that nothing measured.
        """
        return self.columns(name)


class Detector(Protocol):
    """One question, put to every image in the pass and answered once at the end."""

    id: str
    """Stable, snake_case; prefix of its columns and of its findings' ids."""
    title: str
    """What it looks for, in a few words."""
    checks_explanations: bool
    """True for checks of the maps themselves: they conclude first and give `Check`s only."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return named arrays, one row per image; NaN where something was not measured."""
        ...

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Turn the columns into results; never an exception for too little data: `Skipped`."""
        ...
