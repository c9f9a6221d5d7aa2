"""The laboratory: pictures read once, edited by others, and shown to the model forward only."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from melaudit.artifacts.interface import RGB, Artifact, Found
from melaudit.audit.viewer import Viewer
from melaudit.detectors.interface import locate
from melaudit.domains.interface import Domain
from melaudit.domains.registry import FALLBACK
from melaudit.images.contents import read_unchanged
from melaudit.images.dataset import Dataset
from melaudit.images.imagefile import shrink
from melaudit.images.knowledge import Knowledge
from melaudit.stopwatch import timed

VIEW = 512
"""Longer side of the pictures that are edited, in pixels. Chosen: a round figure, not measured."""
MAX_HELD = 512
"""Pictures held in memory, 400 MB at most."""
MAX_SEEN = 256
"""Places of artifacts held in memory, 70 MB at most: several edits of an image ask for one."""
Held = dict[str, RGB]
"""Path -> picture, as far as pictures are held."""
MIN_NATURAL = 20
"""Natural pictures that a distance from them needs. Chosen: a round figure, not measured."""

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Responses:
    """What the model made of pictures."""

    logits: NDArray[np.float32]
    """(m, K)."""
    features: Features
    """(m, channels) mean of each channel of the concept layer."""
    rows: NDArray[np.int64]
    """(m,) the images they are of; -1 where they are of none."""


class Laboratory:
    """Reads the images named by `ids`, row by row, and shows pictures to the model.

    Pictures are shrunk to `VIEW` pixels before they are edited, and the unedited ones that edits
    are held against have come the same way. `held` is shared by laboratories of the same images, so
    that each of these is decoded once.
    """

    def __init__(
        self,
        viewer: Viewer,
        dataset: Dataset,
        ids: Sequence[str],
        knowledge: Knowledge | None = None,
        domain: Domain = FALLBACK,
        held: Held | None = None,
    ) -> None:
        self.viewer, self.domain = viewer, domain
        self._forward, self._layer = viewer.explainer.forward, viewer.layer
        row_of = {identity: row for row, identity in enumerate(dataset.ids)}
        self._rows = [row_of[identity] for identity in ids]
        self._paths, self._contents = dataset.paths, dataset.contents
        self._knowledge = knowledge or Knowledge()
        self._held: Held = {} if held is None else held
        self._known: dict[int, Responses] = {}
        self._seen: dict[tuple[int, ...], tuple[Artifact, Found]] = {}
        """Identity of an artifact, row of the data set, height and width -> the artifact, and what
        is found."""
        self._together: dict[int, tuple[int, ...]] = {}
        """Row of the data set -> those that it is shown with, itself among them."""

    def of(self, rows: NDArray[np.bool_]) -> Laboratory:
        """Return a laboratory of some of the images (n,); it knows of them what this one does."""
        at = np.flatnonzero(rows)
        some = copy.copy(self)
        some._rows = [self._rows[row] for row in at]
        some._known = {
            place: Responses(known.logits, known.features, np.array([place]))
            for place, row in enumerate(at.tolist())
            if (known := self._known.get(row)) is not None
        }
        return some

    def pictures(self, rows: Iterable[int] | NDArray[np.int64]) -> Iterator[tuple[int, RGB]]:
        """Yield (row, picture) of those rows that can still be read."""
        for row in map(int, rows):
            picture = self._picture(self._rows[row])
            if picture is not None:  # as in the pass
                yield row, picture

    def _picture(self, row: int) -> RGB | None:
        """Return the picture of a row of the data set; None where it cannot be read any more."""
        path = self._paths[row]
        if path not in self._held:
            white = self.viewer.preprocessing.white
            image = read_unchanged(self._paths, self._contents, row, white).image
            if image is None:
                return None
            while len(self._held) >= MAX_HELD:
                del self._held[next(iter(self._held))]
            self._held[path] = shrink(image, VIEW)
        return self._held[path]

    def find(self, artifact: Artifact, row: int, picture: RGB) -> Found:
        """Return where an artifact is in the picture of an image; see `interface.locate`."""
        key = id(artifact), self._rows[row], *picture.shape[:2]
        if key not in self._seen:
            while len(self._seen) >= MAX_SEEN:
                del self._seen[next(iter(self._seen))]
            # Held with what is found, so that no other artifact gets the identity of this one.
            self._seen[key] = artifact, self._look_for(artifact, row, picture)
        return self._seen[key][1]

    def _look_for(self, artifact: Artifact, row: int, picture: RGB) -> Found:
        shown = self._knowledge.of_batch([self._rows[row]], [(picture.shape[0], picture.shape[1])])
        (user,) = shown.user_found.get(artifact.id, (None,))
        return locate(artifact, picture, user)

    def look(self, pictures: Sequence[RGB]) -> Responses:
        """Return what the model makes of pictures (h, w, 3) of any size."""
        with timed("the model"):
            x = self.viewer.inputs(pictures)
            if self._layer:
                logits, means = self._forward.features(x, self._layer)
            else:  # a model without channels has no features to measure distances in
                logits = self._forward.answers(x)
                means = logits[:, :0]
        return Responses(_numbers(logits), _numbers(means), np.full(len(pictures), -1))

    def mean_map(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return what the concept layer gives on the mean of the images, (channels, ...)."""
        means = [(len(x), self._forward.mean_map(x, self._layer)) for x in self._inputs(rows)]
        total = torch.stack([n * mean for n, mean in means]).sum(0)
        return total / sum(n for n, _ in means)

    def suppressed(
        self, rows: NDArray[np.int64], sets: Sequence[Sequence[int]], values: torch.Tensor
    ) -> NDArray[np.float32]:
        """Return what the model says, (sets, m, K), with each set of channels set to values."""
        said = [
            _numbers(self._forward.suppressed(x, self._layer, sets, values))
            for x in self._inputs(rows)
        ]
        return np.concatenate(said).transpose(1, 0, 2)

    def _inputs(self, rows: NDArray[np.int64]) -> Iterator[torch.Tensor]:
        """Yield the images as the model takes them, some at a time."""
        for batch in self.viewer.full_batches(self.pictures(rows)):
            yield self.viewer.inputs(picture for _, picture in batch)

    def show_together(self, *every: NDArray[np.int64]) -> None:
        """Have the images of each list, as they are, be shown in batches that are always the same.

        One image at a time takes twice as long.
        """
        for rows in every:
            for batch in self.viewer.full_batches(self._rows[row] for row in rows.tolist()):
                self._together |= dict.fromkeys(batch, tuple(batch))

    def meet(self, rows: Iterable[int]) -> None:
        """Look at images as they are, those that are new; see `known`.

        Each is shown alone, or in its own batch (`show_together`): the last bits of an answer
        depend on what is in the batch, and an answer must not depend on what was asked before, or
        by which of several processes.
        """
        places = {row: place for place, row in enumerate(self._rows)}
        for row in dict.fromkeys(rows):
            if row in self._known:
                continue
            own = self._rows[row]
            batch = [(i, self._picture(i)) for i in self._together.get(own, (own,))]
            there = [(i, picture) for i, picture in batch if picture is not None]
            if there:
                # Of a part of the images, the rest of the batch is no row.
                found = [places.get(i, -1) for i, _ in there]
                seen = self.look([picture for _, picture in there])
                self.remember(Responses(seen.logits, seen.features, np.array(found)))

    def known(self, row: int) -> Responses:
        """Return what the model makes of one image as it is; computed once."""
        self.meet([row])
        return self._known[row]

    def recall(self, rows: Iterable[int]) -> Responses:
        """Return what the model made of those of the images, unedited, that it has seen."""
        met = sorted(self._known.keys() & set(rows))
        if not met:
            nothing = np.zeros((0, 0), np.float32)
            return Responses(nothing, nothing, np.zeros(0, np.int64))
        known = [self._known[row] for row in met]
        return Responses(
            np.concatenate([seen.logits for seen in known]),
            np.concatenate([seen.features for seen in known]),
            np.array(met),
        )

    def remember(self, seen: Responses) -> None:
        """Take in what the model made of unedited images before, as `recall` returned it."""
        for i, row in enumerate(map(int, seen.rows)):
            if row >= 0:
                known = Responses(
                    seen.logits[i : i + 1], seen.features[i : i + 1], seen.rows[i : i + 1]
                )
                self._known.setdefault(row, known)


def natural_distances(
    edited: Features, rows: NDArray[np.int64], natural: Responses
) -> NDArray[np.float64]:
    """Return how far edited pictures (m, c) of images (m,) lie from natural ones, relatively: (m,).

    Distance to the nearest natural picture of another image, over the median distance of natural
    pictures to their nearest other, both in features scaled to unit variance. NaN without features,
    and where fewer than `MIN_NATURAL` natural pictures are known.
    """
    if len(natural.rows) < MIN_NATURAL or not natural.features.shape[1]:
        return np.full(len(edited), np.nan)
    spread = natural.features.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    neighbours = NearestNeighbors(n_neighbors=2).fit(natural.features / scale)
    between = float(np.median(neighbours.kneighbors(natural.features / scale)[0][:, 1]))
    away, which = neighbours.kneighbors(edited / scale)
    own = natural.rows[which[:, 0]] == rows
    nearest = np.where(own, away[:, 1], away[:, 0])
    distances: NDArray[np.float64] = np.full(len(edited), np.nan)
    return nearest / between if between > 0 else distances


def _numbers(values: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
