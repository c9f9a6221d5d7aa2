"""Groups of images, channels and images that stand apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suppression:
    """What becomes of a group's decisions when the channels that mark it no longer speak.

    They are set to what they give on the rest of the class. Parts are of the log-odds of the
    decision, as it was on the group.
    """

    channels: int
    """How many were suppressed."""
    n: int
    """Images of the group that were tried, and as many others of its class."""
    lost: float
    """Part that goes on the group."""
    lost_others: float
    """Part that goes on others of the class, of which the model was as sure."""
    lost_placebo: float
    """Part that goes on the group when as many other channels are suppressed."""
    beyond: float
    """Part that goes on the group beyond the placebo, more than on the others."""
    beyond_low: float
    beyond_high: float
    """Ends of its 95 % interval."""
    p_value: float
    changed: int
    """Decisions of the group that change."""
    changed_others: int
    changed_placebo: float


@dataclass(frozen=True)
class Exclusive:
    """Something away from the centre that a group shows and other classes hardly do."""

    others: float
    """Share of the images of other classes that show as much of it."""
    others_n: int
    """Images of other classes: neither predicted as the class nor labelled as it."""
    evidence: float
    """Mean share of absolute relevance that speaks there for the decision, where it is shown."""
    strength: float
    """Share of the class that shows it, times that evidence, times how much more of it the group
    shows than the bound (log): it orders, and proves nothing."""
    vocabulary: int | None
    """0 for the fine words, 1 for the coarse ones; None for what is told by its likeness, or by
    being like hardly anything in other images."""
    words: tuple[int, ...]
    """The visual words it is made of."""
    like: tuple[float, ...] = ()
    """The description that its places are like; () for all else."""
    bound: float = 0.0
    """Places, or likeness of the likest one, that other images hardly show more of; of what is
    strange, how far the fifth likest image is (1 less the cosine)."""

    @property
    def strange(self) -> bool:
        """Whether it is what is like hardly anything in other images, whatever that is."""
        return self.vocabulary is None and not self.like


@dataclass(frozen=True)
class Cluster:
    """Images of one predicted class that have something in common: how the model decides them, or
    what they show and images of other classes do not."""

    id: str
    predicted: str
    n: int
    suspicion: float
    """0 to 1: the sum of named parts, given in `parts`."""
    parts: Mapping[str, float]
    """Part -> what it adds."""
    why: tuple[str, ...]
    images: tuple[str, ...]
    """Ids, the most typical first."""
    class_mix: Mapping[str, int]
    error_rate: float | None
    border_share: float
    """Mean share of absolute relevance in the border band."""
    artifacts: Mapping[str, float]
    """Share of the cluster's images that show the artifact."""
    channels: tuple[int, ...]
    """Channels of the concept layer that mark it, the strongest first."""
    views: tuple[str, ...] = ()
    """By what it was seen: concepts, maps, both, parts."""
    stability: float | None = None
    """0 to 1: how alike samples of the images give it again (mean Jaccard index)."""
    stability_by_chance: float | None = None
    """The same for the steadiest group among shuffled features."""
    outside_share: float | None = None
    """Mean share of absolute relevance outside the central half of the picture."""
    effects: tuple[float, ...] = ()
    """Of each marking channel: how much higher its relevance is, in standard deviations."""
    odds_ratios: Mapping[str, float] = field(default_factory=dict)
    """Artifact or metadata value -> odds ratio, where it is more frequent than in the rest of the
    class."""
    suppression: Suppression | None = None
    """None where it was not tried."""
    exclusive: Exclusive | None = None
    """None where nothing was found that it shows and others do not."""


def first_clusters(clusters: Sequence[Cluster]) -> dict[str, str]:
    """Return image -> id of the first of the clusters that it is in, the most suspicious one.

    An image may be decided as one group is and show what another does.
    """
    return {image: c.id for c in reversed(clusters) for image in c.images}


@dataclass(frozen=True)
class Concept:
    """A channel of the concept layer that matters, and what it answers to."""

    channel: int
    predicted: str
    """The class whose images it was looked at on."""
    why: str
    """Why it is shown: what it marks or carries."""
    share: float
    """Mean share of the channels' absolute relevance that it carries on images of the class."""
    images: tuple[str, ...]
    """Ids of the images of the class on which it carries most, the first one most."""
    outside: float | None
    """Share of its conditional relevance outside the central half of these pictures; None where it
    was not measured."""
    others_outside: float | None
    """The same of the layer's other channels on the same pictures, the median."""
    strongest: int
    """Images on which it is strongest, a twentieth of the class, that artifacts were counted on."""
    artifacts: Mapping[str, float] = field(default_factory=dict)
    """Artifact or metadata value that these show more often than the rest of the class, beyond
    chance -> share that shows it."""
    odds_ratios: Mapping[str, float] = field(default_factory=dict)
    attention: float | None = None
    """The model's own mean weight for it on these pictures; None where it has no attention."""


@dataclass(frozen=True)
class Prototype:
    """A usual way in which a class is decided."""

    id: str
    predicted: str
    n: int
    share: float
    """Of the images of the predicted class."""
    images: tuple[str, ...]
    """Ids, the most typical first."""


@dataclass(frozen=True)
class Outlier:
    """An image that is decided like no other, or like a class it is said not to be."""

    image: str
    kind: str
    """"unlike" any usual strategy, or "label": typical for a class it is not labelled as."""
    predicted: str
    label: str | None
    p_value: float
    """unlike: how often an image of the class is as unlikely. label: share of the strategy's images
    that are more typical."""
    why: str


@dataclass(frozen=True)
class Slice:
    """Images on which the model fails more often than elsewhere."""

    id: str
    n: int
    measure: str
    """What counts as failing: "wrong", or "unsure" where labels do not tell."""
    rate: float
    """Share that fails among images the search did not see."""
    rate_low: float
    rate_high: float
    """Ends of the 95 % interval."""
    elsewhere: float
    q_value: float
    called: Mapping[str, int]
    """Predicted class -> images."""
    why: tuple[str, ...]
    images: tuple[str, ...]
    """Ids, those that fail first; not all of a large slice."""


@dataclass(frozen=True)
class Probe:
    """An artifact that a person marked, looked for on all images."""

    artifact: str
    marked: int
    others: int
    reviewed: bool
    """Whether the others were marked by a person, or drawn from images nobody marked."""
    k: int
    precision: float
    """Share of the first k of the ranking that are marked, on images the probe did not see."""
    precision_low: float
    precision_high: float
    """Ends of the 95 % interval."""
    chance: float
    images: tuple[str, ...]
    """Ids, the head of the ranking of all images."""
    statement: str
