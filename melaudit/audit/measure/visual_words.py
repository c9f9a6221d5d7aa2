"""Visual words: what the places of pictures look like, as the model's own early layers see them.

What a layer gives at each place is whitened and made of unit length; places that look alike are one
visual word (Sivic and Zisserman 2003). Early layers are used, whose channels tell strokes, edges
and colours apart whatever the classes are. Visual words are learned on a sample of the images
before the pass; the pass then notes for every image which of them stands where, a byte for each
place.

Of a later layer, which tells things apart and is coarser, the descriptors themselves are noted, a
byte for each of their numbers: what only some images show is found by its likeness to examples, not
among a few words for everything (`groups.likeness`).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional

from melaudit.measurements import Array
from melaudit.publish import publish
from melaudit.relevance.model.tokens import as_map

SIDES = (16, 8)
"""Places a side, fine and coarse."""
MAX_VISUAL_WORDS = 64
MAX_COMPONENTS = 24
MAX_IMAGES = 128
"""Images that visual words are learned on, at most: their fine places are `MAX_PLACES`."""
MAX_PLACES = 32_768
"""Places that visual words are learned from, at most."""

LIKENESS_SIDE = 8
"""Places a side of which descriptors are noted."""
UNIT = 127
"""The number that stands for 1 in a noted descriptor, whose numbers are bytes."""

Floats = NDArray[np.float32]
VisualWords = NDArray[np.uint8]
Noted = NDArray[np.int8]
"""(n, side, side, k) descriptors of unit length, times `UNIT`."""


@dataclass(frozen=True)
class Descriptions:
    """How places are described by one layer: whitened, and of unit length."""

    layer: str
    side: int
    """Places a side that a picture is cut into."""
    centre: Floats
    """(channels,)"""
    axes: Floats
    """(channels, k): to whitened components."""

    def units(self, outputs: Tensor) -> Tensor:
        """Return the description of each place, (N, side, side, k), in outputs (N, C, h, w)."""
        places = descriptors(outputs, self.side)
        centre, axes = (torch.from_numpy(a).to(places) for a in (self.centre, self.axes))
        return functional.normalize((places - centre) @ axes, dim=-1)

    def noted(self, outputs: Tensor) -> Noted:
        """Return the same as bytes."""
        units = torch.nan_to_num(self.units(outputs), 0, 0, 0)
        found: Noted = (units * UNIT).round().to(torch.int8).cpu().numpy()
        return found


@dataclass(frozen=True)
class Vocabulary(Descriptions):
    """The visual words of one layer."""

    visual_words: Floats
    """(v, k) where each visual word lies among descriptors of unit length."""

    @property
    def described(self) -> Descriptions:
        """How places are described before they are read as words."""
        return Descriptions(self.layer, self.side, self.centre, self.axes)

    @property
    def column(self) -> str:
        """The name under which the pass keeps the visual words of every image."""
        return f"words.{self.side}"

    def read(self, outputs: Tensor) -> VisualWords:
        """Return which visual word stands where, (N, side, side), in outputs (N, C, h, w)."""
        points = self.units(outputs)
        words = torch.from_numpy(self.visual_words).to(points)
        nearest = (points @ words.T - words.square().sum(1) / 2).argmax(-1)
        found: VisualWords = nearest.to(torch.uint8).cpu().numpy()
        return found


@dataclass(frozen=True)
class Sight:
    """What the pass notes of the places of every picture."""

    vocabularies: tuple[Vocabulary, ...] = ()
    """Whose visual words are noted."""
    likeness: Descriptions | None = None
    """Whose descriptions are noted."""

    @property
    def every(self) -> tuple[Descriptions, ...]:
        """All that is learned."""
        return (*self.vocabularies, *([self.likeness] if self.likeness else []))

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose outputs `columns` asks for."""
        return tuple(each.layer for each in self.every)

    def columns(self, outputs: Mapping[str, Tensor], x: Tensor) -> dict[str, Array]:
        """Return what is noted of images x (N, C, H, W): column -> (N, ...)."""
        found: dict[str, Array] = {v.column: v.read(outputs[v.layer]) for v in self.vocabularies}
        if self.likeness:
            found[LIKENESS] = self.likeness.noted(map_of(outputs, self.likeness.layer, x))
        return found


NOTHING = Sight()
LIKENESS = "places"
"""The column of the descriptions that are noted."""


def map_of(outputs: Mapping[str, Tensor], layer: str, x: Tensor) -> Tensor:
    """Return a layer's output on images x (N, C, H, W) as a map, which tokens are made into.

    Raises ValueError where its tokens are no grid.
    """
    found = as_map(outputs[layer], *x.shape[2:])
    if found is None:
        raise ValueError(f"the tokens of {layer} {tuple(outputs[layer].shape)} are no grid")
    return found


def descriptors(outputs: Tensor, side: int) -> Tensor:
    """Return what stands at each place, (N, side, side, C), of a layer's outputs (N, C, h, w)."""
    pooled = functional.adaptive_avg_pool2d(outputs.detach().float(), side)
    return pooled.permute(0, 2, 3, 1)


def learn(places: Floats, layer: str, side: int, seed: int) -> Vocabulary | None:
    """Learn visual words from descriptors (n, C); None where these do not vary.

    The same for a seed.
    """
    learned = _described(places, layer, side, seed)
    if learned is None:
        return None
    how, points = learned
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    count = min(MAX_VISUAL_WORDS, len(np.unique(points[: 4 * MAX_VISUAL_WORDS], axis=0)))
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=4096).fit(points)
    words = means.cluster_centers_.astype(np.float32)
    return Vocabulary(how.layer, how.side, how.centre, how.axes, words)


def described(places: Floats, layer: str, side: int, seed: int) -> Descriptions | None:
    """Learn how to describe places from descriptors (n, C); None where these do not vary."""
    learned = _described(places, layer, side, seed)
    return learned and learned[0]


def _described(
    places: Floats, layer: str, side: int, seed: int
) -> tuple[Descriptions, NDArray[np.float64]] | None:
    """Return how to describe places, and the whitened components (m, k) of some of them."""
    rng = np.random.default_rng(seed)
    there = np.flatnonzero(np.isfinite(places).all(1))
    finite = places[np.sort(rng.permutation(there)[:MAX_PLACES])].astype(np.float64)
    if len(finite) < 2 or not np.ptp(finite, axis=0).any():
        return None
    centre = finite.mean(0)
    finite -= centre  # in place: there are 100 MB of them
    spread = np.sqrt(np.square(finite).mean(0))
    scale = np.where(spread > 0, spread, np.inf)  # a channel that says nothing says nothing
    finite /= scale
    pca = PCA(min(MAX_COMPONENTS, *finite.shape), whiten=True, svd_solver="covariance_eigh")
    points = pca.fit_transform(finite)
    useful = pca.explained_variance_ > 1e-9 * pca.explained_variance_[0]
    axes = (pca.components_ / np.sqrt(np.maximum(pca.explained_variance_, 1e-300))[:, None]).T
    points, axes = points[:, useful], axes[:, useful] / scale[:, None]
    how = Descriptions(layer, side, centre.astype(np.float32), axes.astype(np.float32))
    return how, points


def save(sight: Sight, path: Path) -> None:
    """Keep what was learned, so that a run that is resumed goes on with the same."""
    arrays: dict[str, Any] = {}
    for k, each in enumerate(sight.every):
        arrays |= {
            f"{k}.layer": np.array(each.layer),
            f"{k}.side": np.array(each.side),
            f"{k}.centre": each.centre,
            f"{k}.axes": each.axes,
        }
        if isinstance(each, Vocabulary):
            arrays[f"{k}.words"] = each.visual_words
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    publish(path, buffer.getvalue())


def load(path: Path) -> Sight | None:
    """Return what was learned; None where nothing is kept, or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            vocabularies, likeness = [], None
            for k in range(len({name.split(".")[0] for name in kept.files})):
                arrays = kept[f"{k}.centre"], kept[f"{k}.axes"]
                how = Descriptions(str(kept[f"{k}.layer"]), int(kept[f"{k}.side"]), *arrays)
                if f"{k}.words" in kept.files:
                    words = kept[f"{k}.words"]
                    vocabularies.append(Vocabulary(how.layer, how.side, *arrays, words))
                else:
                    likeness = how
            return Sight(tuple(vocabularies), likeness)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
