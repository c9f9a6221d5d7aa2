"""The vocabulary of an audit: what every detector says and every report reads.

This is the ground floor: it imports nothing of melaudit. `Findings.to_dict` is the content of
`findings.json`, whose JSON Schema is `melaudit/findings.schema.json`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

SCHEMA_VERSION = "1.0"


class Severity(StrEnum):
    """How bad a finding is, from the highest rung of evidence it reached."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info up to 4 for critical: for ordering and thresholds."""
        return list(Severity).index(self)


class Rung(StrEnum):
    """The ladder of evidence; each rung has a statistic of its own."""

    OPPORTUNITY = "opportunity"
    """The data allow the shortcut: artifact and label are associated."""
    ATTENTION = "attention"
    """The model looks there: relevance in excess of a null."""
    DEPENDENCE = "dependence"
    """The model uses it: adding or removing the artifact changes the decision."""
    HARM = "harm"
    """It costs: sensitivity or specificity changes."""

    @property
    def rank(self) -> int:
        """0 for opportunity up to 3 for harm."""
        return list(Rung).index(self)


class Verdict(StrEnum):
    """The one word an audit ends with."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Trust(StrEnum):
    """Whether the relevance maps of this run may be believed."""

    TRUSTED = "trusted"
    DEGRADED = "degraded"
    UNUSABLE = "unusable"


class CheckStatus(StrEnum):
    """The outcome of one explanation check."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    DEGRADED = "degraded"
    FAIL = "fail"


def severity_of(reached: Collection[Rung], tested: Collection[Rung] = ()) -> Severity:
    """Return how bad a finding is by the rungs it reached, among those that were tested.

    A model that uses what the labels reward has learned a shortcut; one that uses it although they
    do not may have other reasons. Looking counts less where use was tested and not seen.
    """
    rewarded = Rung.OPPORTUNITY in reached
    if Rung.HARM in reached:
        return Severity.CRITICAL if rewarded else Severity.HIGH
    if Rung.DEPENDENCE in reached:
        return Severity.HIGH if rewarded else Severity.MEDIUM
    if Rung.ATTENTION in reached:
        return Severity.LOW if Rung.DEPENDENCE in tested else Severity.MEDIUM
    return Severity.LOW if reached else Severity.INFO


@dataclass(frozen=True)
class Evidence:
    """One statistic on one rung of a finding."""

    rung: Rung
    name: str
    """What was estimated, in the field's words: "odds ratio", "relevance excess on the ring"."""
    estimate: float
    ci_low: float
    ci_high: float
    """Ends of the 95 % interval."""
    p_value: float | None
    q_value: float | None
    """The p-value after Benjamini-Hochberg over everything this run tested; None before that."""
    n: int
    """Images the estimate rests on."""
    null: str
    """The hypothesis it was tested against, in words."""
    reached: bool
    """Whether the statistic carries the rung (effect large enough, interval clear of the null)."""
    statement: str
    """The statistic as a sentence with counts a person can picture."""


@dataclass(frozen=True)
class Table:
    """A small table that belongs to a finding, ready to show."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


@dataclass(frozen=True)
class Finding:
    """A claim about the model and the chain of evidence under it."""

    id: str
    """Stable between runs: names the claim, never a count."""
    detector: str
    title: str
    severity: Severity
    confidence: float
    """0 to 1, from the statistics and the health of the maps."""
    rung: Rung
    """The highest rung reached."""
    artifact: str | None
    classes: tuple[str, ...]
    statement: str
    """The claim in one sentence, worded by the weakest evidence it rests on."""
    evidence: tuple[Evidence, ...]
    images: tuple[str, ...]
    """Ids of the affected images, the most telling first."""
    remedy: str
    does_not_show: str
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A detector that could not be applied, and why: a result, never a silence."""

    detector: str
    reason: str


@dataclass(frozen=True)
class NotFound:
    """Something that was looked for in vain, and how small an effect would have been seen."""

    artifact: str
    n: int
    minimum_detectable_effect: float | None
    """On the scale named by `effect`; None when the test has no such figure."""
    effect: str
    """What the figure measures, with its unit: "odds ratio"."""
    statement: str
    p_value: float | None = None
    """Of the test that found nothing: it counts when the run's false alarms are controlled."""


@dataclass(frozen=True)
class Check:
    """One question put to the explanations themselves."""

    id: str
    status: CheckStatus
    value: float | None
    threshold: float
    statement: str
    """What was asked, the figure and what it means, in a sentence or two."""


@dataclass(frozen=True)
class Operation:
    """What the explaining engine does with one kind of operation of the model."""

    name: str
    rule: str
    calls: int
    """How often the model performs it on one image."""


@dataclass(frozen=True)
class Explanations:
    """Whether the maps can be trusted, and what made them."""

    status: Trust
    engine: str
    """Engine, composite, canonizer and explained quantity in one line."""
    layer: str
    """The layer whose channels are the concepts; "" for a model without one."""
    checks: tuple[Check, ...]
    operations: tuple[Operation, ...] = ()
    """The rule for each operation; empty where the engine does not look at them."""


@dataclass(frozen=True)
class Control:
    """A test of the audit itself on this model and these data."""

    id: str
    title: str
    kind: str
    """"negative": nothing was there to be found; "positive": something was planted."""
    statement: str
    value: float | None
    """Share of false alarms; or the share of decisions moved by the weakest plant that is found."""
    n: int
    """How often it was tried; or images it rests on."""
    passed: bool


@dataclass(frozen=True)
class ClassPerformance:
    """How one class fares."""

    name: str
    n: int
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    precision: float | None


@dataclass(frozen=True)
class SlicePerformance:
    """How the images of one label fare that show an artifact, or do not."""

    label: str
    artifact: str
    shown: bool
    """Whether these are the images that show the artifact, or those that do not."""
    n: int
    right: float
    """Share called by their label, with its 95 % interval."""
    right_low: float
    right_high: float


@dataclass(frozen=True)
class GroupPerformance:
    """How the images of one label fare that belong to one group of a column."""

    label: str
    group: str
    """The column's value, or the range that it falls into."""
    n: int
    right: float
    """Share called by their label, with its 95 % interval."""
    right_low: float
    right_high: float


@dataclass(frozen=True)
class ColumnPerformance:
    """How the images of each label fare by a column of the data table: sex, age, source."""

    column: str
    groups: tuple[GroupPerformance, ...]
    """By label; within a label the largest group of the column first."""
    too_few: int
    """Labelled images of groups that are left out: too few of a label to say anything."""
    unknown: int
    """Labelled images of which the column says nothing."""


@dataclass(frozen=True)
class Performance:
    """How the model does on the labelled images."""

    n: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    auc: float | None
    """Area under the ROC curve of the positive class (macro, one against the rest, if none)."""
    chance: float | None
    """Accuracy of always naming the most frequent class."""
    per_class: tuple[ClassPerformance, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Counts, [label][prediction]."""
    slices: tuple[SlicePerformance, ...] = ()
    """Per label and artifact, the images with it before those without."""
    columns: tuple[ColumnPerformance, ...] = ()
    """Per column of the data table that tells patients, sites or sources apart."""


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
    """Something away from the centre that a group shows and images called otherwise hardly do."""

    others: float
    """Share of the images called otherwise that show as much of it."""
    others_n: int
    """Images called otherwise."""
    evidence: float
    """Mean share of absolute relevance that speaks there for the decision, where it is shown."""
    strength: float
    """Share of the class that shows it, times that evidence, times how much more of it the group
    shows than the bound (log): it orders, and proves nothing."""
    vocabulary: int
    """0 for the fine words, 1 for the coarse ones."""
    words: tuple[int, ...]
    """The visual words it is made of."""


@dataclass(frozen=True)
class Cluster:
    """Images of one predicted class that have something in common: how the model decides them, or
    what they show and images called otherwise do not."""

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


@dataclass(frozen=True)
class Inputs:
    """What became of every image that was named."""

    read: int
    flagged: Mapping[str, int]
    """Images used although something is odd about them, by reason."""
    skipped: Mapping[str, int]
    """Images not used, by reason."""


@dataclass(frozen=True)
class Provenance:
    """What was audited, with what, and how to do it again."""

    model: str
    """File name of the checkpoint."""
    model_sha256: str
    architecture: str
    data: str
    data_fingerprint: str
    classes: tuple[str, ...]
    positive: str | None
    preprocessing: str
    config: Mapping[str, Any]
    command: str
    versions: Mapping[str, str]
    seed: int
    device: str
    started: str
    """ISO 8601, UTC."""
    seconds: float


@dataclass(frozen=True)
class Findings:
    """Everything an audit says; every output derives from it."""

    verdict: Verdict
    reason: str
    """The verdict as a sentence about the model."""
    explanations: Explanations
    performance: Performance
    findings: tuple[Finding, ...]
    """The most severe first."""
    not_found: tuple[NotFound, ...]
    clusters: tuple[Cluster, ...]
    """The most suspicious first."""
    skipped: tuple[Skipped, ...]
    inputs: Inputs
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing the rest."""
    controls: tuple[Control, ...] = ()
    """What the audit's own tests say where nothing is, and where something was planted."""
    prototypes: tuple[Prototype, ...] = ()
    """How each predicted class is usually decided."""
    outliers: tuple[Outlier, ...] = ()
    slices: tuple[Slice, ...] = ()
    """The worst first."""
    concepts: tuple[Concept, ...] = ()
    """Channels that matter, those that mark the most suspicious cluster first."""
    probes: tuple[Probe, ...] = ()
    """Of what a reviewer marked; the most frequent first."""
    schema_version: str = field(default=SCHEMA_VERSION)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of findings.json: plain types; NaN and infinities become None."""
        plain = _plain(self)
        assert isinstance(plain, dict)
        # The contract's name for a cluster's predicted class; a Python field cannot be `class`.
        for cluster in plain["clusters"]:
            cluster["class"] = cluster.pop("predicted")
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Findings:
        """Rebuild the findings from the content of findings.json.

        Raises ValueError when the file is of another schema version.
        """
        version = str(data.get("schema_version"))
        if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise ValueError(
                f"findings.json has schema version {version}, this melaudit reads {SCHEMA_VERSION}"
            )
        clusters = [
            {**{k: v for k, v in c.items() if k != "class"}, "predicted": c["class"]}
            for c in data["clusters"]
        ]
        return _rebuild(cls, {**data, "clusters": clusters})


def _plain(value: Any) -> Any:
    """Turn dataclasses, tuples and enums into JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, StrEnum):
        return value.value
    if hasattr(value, "item"):  # numpy scalars, which json refuses
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


T = TypeVar("T")


def _rebuild(kind: type[T], data: Mapping[str, Any]) -> T:
    """Build a dataclass of this module from plain types, following its annotations."""
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{k: _convert(hints[k], v) for k, v in data.items() if k in known})


def _convert(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return _convert(inner[0], value) if len(inner) == 1 else value
    if origin is tuple:
        return tuple(_convert(typing.get_args(hint)[0], v) for v in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _rebuild(hint, value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if hint is float and value is None:  # was an infinity or NaN
        return math.nan
    return value
