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
import torch
from numpy.typing import NDArray
from torch import Tensor

from melaudit.artifacts.held import find
from melaudit.artifacts.interface import RGB, Artifact, Found, Mask
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

    def crp(
        self, x: Tensor, target: Tensor, layer: str, channels: Sequence[int] | Tensor
    ) -> Tensor:
        """Return conditional maps (N, k, H, W) of k channels: of all images, or (N, k) of each."""
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

    def both_engines(
        self, x: Tensor
    ) -> AbstractContextManager[tuple[Attributor, Attributor]] | None:
        """Give this engine and another, on copies of the model, with biases treated alike.

        Both explain images like x (N, C, H, W).

        None where there is no other.
        """
        ...


def _as_it_is(mask: NDArray[Any], index: int) -> NDArray[np.float32]:
    return mask.astype(np.float32)


@dataclass(frozen=True)
class BatchImages:
    """The images of a batch: as they were read, and as the model takes them."""

    views: tuple[RGB, ...] = ()
    """Each (h, w, 3), as read; shrunk to 1024 pixels on the longer side if larger."""
    inputs: Tensor = field(default_factory=lambda: torch.zeros(0, 3, 1, 1))
    """(N, C, H, W) preprocessed, on the model's device."""
    sizes: tuple[tuple[int, int] | None, ...] = ()
    """(N,) (width, height) as in the file, None where it is unknown; empty for all unknown."""
    seen: Mapping[str, Sequence[Found | None]] = field(default_factory=dict)
    """Artifact -> (N,) what its finder saw, where it has looked already."""
    project: Callable[[NDArray[Any], int], NDArray[np.float32]] = _as_it_is
    """project(mask (h, w), i) -> (H, W): where the pixels of view i end up in the model's input;
    float coverage 0 to 1, exactly as preprocessing moved the pixels (resize, crop)."""


@dataclass(frozen=True)
class Answers:
    """What the model says of the images."""

    logits: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """(N, K)."""
    predictions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) class index."""


@dataclass(frozen=True)
class Maps:
    """Why it says so: relevance, and what is known of how it was made."""

    relevance: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 1, 1), np.float32))
    """(N, H, W) signed; positive speaks for the target."""
    targets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) the class that the relevance explains."""
    start: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """(N,) relevance put in at the output."""
    absorbed: NDArray[np.float32] | None = None
    """(N,) relevance that stayed in biases and stabilisers; None when the engine cannot tell."""
    conserves: bool = True
    """Whether maps are meant to sum to `start`: LRP's are, those of gradients or occlusion not."""
    unknown: tuple[str, ...] = ()
    """Operations the engine had no rule for."""
    concepts: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """(N, channels) relevance of the concept layer's channels."""
    layer: str = ""
    """The concept layer; "" for a model that has none, and then no channels."""
    registers: NDArray[np.bool_] | None = None
    """(N, h, w) which tokens of the concept layer have an unusually large norm, so that they stand
    for no place (see `register_tokens`); None where the layer gives no tokens on a grid."""


@dataclass(frozen=True)
class UserKnowledge:
    """What the user says of the images."""

    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) class index; -1 where unknown."""
    objects: tuple[Mask | None, ...] | None = None
    """(N,) masks of the object, each (h, w) as its view; None for an image without a usable one,
    and altogether when the user gave none."""
    artifacts: Mapping[str, Sequence[Found | None]] = field(default_factory=dict)
    """Artifact -> (N,) what the user says of each image; None where nothing is said."""


@dataclass(frozen=True)
class CheckImages:
    """Those images of a batch on which expensive checks may run, and whom they may ask."""

    sampled: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """(N,) True for the seeded sample of the run."""
    handful: NDArray[np.bool_] | None = None
    """(N,) True for the few among them on which checks may run that cost many passes each; None
    allows these on the whole sample."""
    attributor: Attributor | None = None
    """What explains the model; None where nothing may be asked."""

    @property
    def rows(self) -> NDArray[np.intp]:
        """Rows of the batch on which expensive checks may run."""
        return np.flatnonzero(self.sampled)

    @property
    def few(self) -> NDArray[np.intp]:
        """Rows of the batch on which checks may run that cost many passes each."""
        return np.flatnonzero(self.sampled if self.handful is None else self.handful)

    @property
    def explainer(self) -> Attributor:
        """What explains the model. Raises ValueError where nothing may be asked."""
        if self.attributor is None:
            raise ValueError("this batch has no explainer; give its check images an attributor")
        return self.attributor

    def without(self, known: NDArray[np.bool_]) -> CheckImages:
        """Return them without the rows (N,) that are known already."""
        handful = None if self.handful is None else self.handful & ~known
        return replace(self, sampled=self.sampled & ~known, handful=handful)


@dataclass(frozen=True)
class Batch:
    """What the pass shows to a detector: N images and what the model made of them.

    The pass fills in everything. Whoever tries a detector by hand gives what it looks at, and
    leaves the rest, which then is of no image.
    """

    ids: tuple[str, ...]
    images: BatchImages = field(default_factory=BatchImages)
    answers: Answers = field(default_factory=Answers)
    maps: Maps = field(default_factory=Maps)
    user: UserKnowledge = field(default_factory=UserKnowledge)
    check_images: CheckImages = field(default_factory=CheckImages)

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, artifact: Artifact) -> list[Found]:
        """Return what is known of an artifact in each image (N,); see `locate`."""
        nothing: list[Found | None] = [None] * len(self.images.views)
        said = self.user.artifacts.get(artifact.id, nothing)
        seen = self.images.seen.get(artifact.id, nothing)
        return [locate(artifact, *each) for each in zip(self.images.views, said, seen, strict=True)]


def locate(artifact: Artifact, image: RGB, user: Found | None, seen: Found | None = None) -> Found:
    """Return where an artifact is in an image (h, w, 3): the user's word before the finder's.

    Where the user says that it is there but not where, the finder's mask tells. `seen` is what the
    finder saw, if it has looked already.
    """
    if user is None:
        return seen or find(artifact, image)
    if user.present and not user.mask.any():
        return replace(user, mask=(seen or find(artifact, image)).mask)
    return user


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
    sums_places: bool = False
    """Whether it measures how much relevance lies at some place. The pass then asks it once more,
    with maps without the relevance on `registers`, where there are any."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return named arrays, one row per image; NaN where something was not measured."""
        ...

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Turn the columns into results; never an exception for too little data: `Skipped`."""
        ...


def artifacts_of(detectors: Sequence[Detector]) -> tuple[Artifact, ...]:
    """Return the artifacts that detectors look for, in their order."""
    return tuple(d.artifact for d in detectors if d.artifact is not None)
