"""What a report is made of: the findings, and the pictures that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.findings import Findings


@dataclass(frozen=True)
class Exhibit:
    """One image as a report may show it."""

    id: str
    label: str | None
    """Class name, None where unknown."""
    prediction: str
    probability: float
    """Of the predicted class, 0 to 1."""
    picture: bytes
    """WebP of at most 256 x 256, re-encoded from pixels: no metadata of the file survives."""
    relevance: NDArray[np.float16]
    """(h, w) signed map of the predicted class at the resolution it has, scaled to max|.| = 1,
    in the geometry of `picture`."""


@dataclass(frozen=True)
class ConceptStrip:
    """The conditional maps (CRP) of one image, channel by channel."""

    image: str
    """Id of its exhibit."""
    layer: str
    channels: tuple[int, ...]
    shares: tuple[float, ...]
    """Each channel's own relevance at the layer over the explained quantity."""
    maps: NDArray[np.float16]
    """(channels, h, w), on one common scale: max|.| over all of them = 1."""
    attention: tuple[float, ...] = ()
    """The model's own weight for each channel, counted in when these channels were chosen; empty
    for models without attention."""


@dataclass(frozen=True)
class Detail:
    """A detail cut out of an image: what a channel looks at, or the pattern of a cluster."""

    image: str
    """Name of the image."""
    picture: bytes
    """WebP, as in `Exhibit`."""
    relevance: NDArray[np.float16]
    """(h, w) the map of the detail, scaled to max|.| = 1: the channel's conditional map, or the
    places of the pattern."""


@dataclass(frozen=True)
class ConceptView:
    """What a channel looks at, on the images whose decision it carries most."""

    channel: int
    predicted: str
    details: tuple[Detail, ...]


@dataclass(frozen=True)
class PartView:
    """A part that hardly any other image shows, on a few images."""

    cluster: str
    """Id of the cluster that shows it, or of the finding on it where an audit discovered it."""
    details: tuple[Detail, ...]
    """The images that show most of it; the map of each is 1 at its places and 0 elsewhere."""


@dataclass(frozen=True)
class SecondOpinion:
    """The Grad-CAM map of an image that a strip shows."""

    image: str
    """Id of its exhibit."""
    layer: str
    grad_cam: NDArray[np.float16]
    """(h, w) >= 0 at the layer's resolution, scaled to max = 1; all zero when nothing speaks for
    the class there."""
    agreement: float | None
    """With LRP, -1 to 1 (see `relevance.agreement`); None where one of the two is empty."""
    attended: NDArray[np.float16] | None = None
    """The same, each channel multiplied by the model's own attention; None for models without."""
    attended_agreement: float | None = None
    """Of Grad-CAM with and without attention."""
    attention: str = ""
    """Where the model's attention was found, in words."""


@dataclass(frozen=True)
class Group:
    """A titled row of images."""

    title: str
    statement: str
    images: tuple[str, ...]
    """Ids of exhibits."""


@dataclass(frozen=True)
class Version:
    """One edit of an image, and what the model made of it."""

    title: str
    """What was done: "as it is", "black ring painted on", "placebo: ring of skin colour"."""
    picture: bytes
    """WebP, as in `Exhibit`."""
    probability: float
    """Of the class named by the edit, 0 to 1."""


@dataclass(frozen=True)
class Edit:
    """One image with and without an artifact, side by side."""

    finding: str
    """Id of the finding it belongs to."""
    image: str
    """Name of the image."""
    target: str
    """Class whose probability each version gives."""
    versions: tuple[Version, ...]
    """The image as it is first."""


@dataclass(frozen=True)
class Series:
    """One line of a dose curve."""

    title: str
    """What was varied: "black ring", "placebo: skin colour"."""
    x: tuple[float, ...]
    """The dose, rising."""
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    """Ends of the 95 % interval at each dose, if known."""


@dataclass(frozen=True)
class Curve:
    """How the decision follows the dose of an artifact, with its placebo beside it."""

    finding: str
    """Id of the finding it belongs to."""
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Landscape:
    """Images laid out so that those decided by the same channels lie close together.

    Images of different predictions lie in planes of their own: their places do not compare.
    """

    how: str
    """How the places were found, in a sentence."""
    images: tuple[str, ...]
    """Names; all fields below have one entry per image."""
    x: tuple[float, ...]
    y: tuple[float, ...]
    clusters: tuple[str | None, ...]
    """Id of the cluster an image belongs to, None for those in none."""
    predictions: tuple[str, ...]
    labels: tuple[str | None, ...]
    of: int
    """Images of the whole data set; more than `images` when only a sample is laid out."""


@dataclass(frozen=True)
class Record:
    """Everything a report shows; derived once, at the end of a run."""

    findings: Findings
    exhibits: Mapping[str, Exhibit]
    """Image id -> exhibit; only the images a report shows."""
    gallery: tuple[Group, ...]
    """True and false positives and negatives (or right and wrong per class)."""
    mean_maps: Mapping[str, NDArray[np.float16]]
    """Cluster id -> (GRID, GRID) mean signed map, max|.| = 1."""
    strips: tuple[ConceptStrip, ...]
    edits: tuple[Edit, ...] = ()
    """Images with and without an artifact, the most telling first."""
    curves: tuple[Curve, ...] = ()
    opinions: tuple[SecondOpinion, ...] = ()
    """Grad-CAM of the images in the strips."""
    landscape: Landscape | None = None
    concepts: tuple[ConceptView, ...] = ()
    """The channels that matter."""
    parts: tuple[PartView, ...] = ()
    """The patterns of clusters, and of discovered artifacts."""
