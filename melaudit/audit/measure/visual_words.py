"""Visual words: what the places of pictures look like, as the model's own early layers see them.

What a layer gives at each place is whitened and made of unit length; places that look alike are one
visual word (Sivic and Zisserman 2003). Early layers are used, whose channels tell strokes, edges
and colours apart whatever the classes are. Visual words are learned on a sample of the images
before the pass; the pass then notes for every image which of them stands where, a byte for each
place.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
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

from melaudit.publish import publish

SIDES = (16, 8)
"""Places a side, fine and coarse."""
MAX_VISUAL_WORDS = 64
MAX_COMPONENTS = 24
MAX_IMAGES = 128
"""Images that visual words are learned on, at most: their fine places are `MAX_PLACES`."""
MAX_PLACES = 32_768
"""Places that visual words are learned from, at most."""

Floats = NDArray[np.float32]
VisualWords = NDArray[np.uint8]


@dataclass(frozen=True)
class Vocabulary:
    """The visual words of one layer."""

    layer: str
    side: int
    """Places a side that a picture is cut into."""
    centre: Floats
    """(channels,)"""
    axes: Floats
    """(channels, k): to whitened components."""
    visual_words: Floats
    """(v, k) where each visual word lies among descriptors of unit length."""

    @property
    def column(self) -> str:
        """The name under which the pass keeps the visual words of every image."""
        return f"words.{self.side}"

    def read(self, outputs: Tensor) -> VisualWords:
        """Return which visual word stands where, (N, side, side), in outputs (N, C, h, w)."""
        places = descriptors(outputs, self.side)
        centre, axes, words = (
            torch.from_numpy(array).to(places)
            for array in (self.centre, self.axes, self.visual_words)
        )
        points = functional.normalize((places - centre) @ axes, dim=-1)
        nearest = (points @ words.T - words.square().sum(1) / 2).argmax(-1)
        found: VisualWords = nearest.to(torch.uint8).cpu().numpy()
        return found


def descriptors(outputs: Tensor, side: int) -> Tensor:
    """Return what stands at each place, (N, side, side, C), of a layer's outputs (N, C, h, w)."""
    pooled = functional.adaptive_avg_pool2d(outputs.detach().float(), side)
    return pooled.permute(0, 2, 3, 1)


def learn(places: Floats, layer: str, side: int, seed: int) -> Vocabulary | None:
    """Learn visual words from descriptors (n, C); None where these do not vary.

    The same for a seed.
    """
    rng = np.random.default_rng(seed)
    there = np.flatnonzero(np.isfinite(places).all(1))
    finite = places[np.sort(rng.permutation(there)[:MAX_PLACES])].astype(np.float64)
    if len(finite) < 2 or not np.ptp(finite, axis=0).any():
        return None
    centre, spread = finite.mean(0), finite.std(0)
    scale = np.where(spread > 0, spread, np.inf)  # a channel that says nothing says nothing
    scaled = (finite - centre) / scale
    pca = PCA(min(MAX_COMPONENTS, *scaled.shape), whiten=True, svd_solver="covariance_eigh")
    points = pca.fit_transform(scaled)
    useful = pca.explained_variance_ > 1e-9 * pca.explained_variance_[0]
    axes = (pca.components_ / np.sqrt(np.maximum(pca.explained_variance_, 1e-300))[:, None]).T
    points, axes = points[:, useful], axes[:, useful] / scale[:, None]
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    count = min(MAX_VISUAL_WORDS, len(np.unique(points[: 4 * MAX_VISUAL_WORDS], axis=0)))
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=4096).fit(points)
    return Vocabulary(
        layer,
        side,
        centre.astype(np.float32),
        axes.astype(np.float32),
        means.cluster_centers_.astype(np.float32),
    )


def save(vocabularies: Sequence[Vocabulary], path: Path) -> None:
    """Keep the visual words, so that a run that is resumed goes on with the same ones."""
    arrays: dict[str, Any] = {}
    for k, v in enumerate(vocabularies):
        arrays |= {
            f"{k}.layer": np.array(v.layer),
            f"{k}.side": np.array(v.side),
            f"{k}.centre": v.centre,
            f"{k}.axes": v.axes,
            f"{k}.words": v.visual_words,
        }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    publish(path, buffer.getvalue())


def load(path: Path) -> tuple[Vocabulary, ...] | None:
    """Return the visual words that were kept; None where there are none, or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            count = len({name.split(".")[0] for name in kept.files})
            return tuple(
                Vocabulary(
                    layer=str(kept[f"{k}.layer"]),
                    side=int(kept[f"{k}.side"]),
                    centre=kept[f"{k}.centre"],
                    axes=kept[f"{k}.axes"],
                    visual_words=kept[f"{k}.words"],
                )
                for k in range(count)
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
