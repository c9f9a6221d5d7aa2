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
from melaudit.detectors.claim import Claim
from melaudit.findings import Check, NotFound, Skipped, Subject
from melaudit.measurements import Array, Measurements

Result = Claim[Any] | Check | NotFound | Skipped


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


class Detector(Protocol):
    """One question, put to every image in the pass and answered once at the end.

    A class that inherits from this one takes over what it does not say itself; for a detector of
    another package that does not inherit, the registry fills that in.
    """

    id: str
    """Stable, snake_case; prefix of its columns and of its findings' ids."""
    title: str
    """What it looks for, in a few words."""
    subject: Subject = Subject.MODEL
    """What it asks about. Those that ask about the maps conclude first and give `Check`s only."""
    artifact: Artifact | None = None
    """The artifact that is sought in the pass, put in and taken out, and shown in the report. It
    has the detector's id, whose column `present` says which images show it."""
    asks: str = ""
    """For a check of the maps: its question, in plain words."""
    why: str = ""
    """For a check of the maps: why its limit is where it is."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return named arrays, one row per image; NaN where something was not measured."""
        ...

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Turn the columns into results; never an exception for too little data: `Skipped`."""
        ...
