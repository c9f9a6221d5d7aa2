"""How the model does on the labelled images."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Share predicted as their label, with its 95 % interval."""
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
    """Share predicted as their label, with its 95 % interval."""
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
class Figure:
    """A figure with its 95 % interval; nothing was tested."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Images that were given about the same probability."""

    predicted: float
    """Their mean probability."""
    observed: Figure
    """Share of them for which it came true."""
    n: int


@dataclass(frozen=True)
class Calibration:
    """Whether the probabilities are what they say."""

    target: str | None
    """The class they are of; None where they are of whichever class was predicted."""
    n: int
    error: Figure
    """Expected calibration error over `bins`, 0 to 1."""
    error_usual: float
    """What exactly right probabilities would show on average on as many images."""
    error_usual_high: float
    """What they would show more than in 2.5 of 100 cases."""
    brier: Figure
    """Mean squared distance of probability and outcome, over all classes 0 to 2, of one 0 to 1."""
    brier_constant: float
    """What always giving the share of each class would score."""
    bins: tuple[ReliabilityBin, ...]
    """The lowest probability first; bins of about equal numbers of images."""


@dataclass(frozen=True)
class CurvePoint:
    """What becomes of the images if a class is predicted from this probability on."""

    threshold: float
    sensitivity: float
    false_positive_rate: float
    precision: float


@dataclass(frozen=True)
class OperatingPoint:
    """What the model's own decisions give for one class against the rest."""

    threshold: float | None
    """Probability from which it decides for the class; None where the highest of several wins."""
    sensitivity: Figure
    specificity: Figure
    precision: Figure | None
    """None where the class is never predicted."""


@dataclass(frozen=True)
class Discrimination:
    """How well the probability of one class tells it from the rest."""

    target: str
    n: int
    """Images of the class."""
    n_others: int
    auc: Figure
    average_precision: Figure
    """Area under precision against recall; the share of the class is what chance gives."""
    operating: OperatingPoint
    curve: tuple[CurvePoint, ...]
    """The highest threshold first; empty for a class whose curve is not kept."""


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes of which one is predicted for the other."""

    label: str
    predicted: str
    n: int
    of: int
    """Images of the label."""
    share: Figure


@dataclass(frozen=True)
class Example:
    """One prediction."""

    image: str
    label: str
    predicted: str
    probability: float
    """Of the predicted class."""


@dataclass(frozen=True)
class GroupRange:
    """The groups of a column on whose images of a label the model is right most and least often."""

    column: str
    label: str
    best: GroupPerformance | None
    worst: GroupPerformance | None
    """None where fewer than two groups have enough images to compare."""
    compared: int
    too_few: int
    """Groups with fewer images of the label than `min_images`."""
    min_images: int


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
    resampled: str = ""
    """What the intervals of all figures below take for independent: "images" or "patients"; empty
    where these figures were not looked for."""
    calibration: Calibration | None = None
    """None where too few images are labelled, or probabilities are no numbers."""
    discrimination: tuple[Discrimination, ...] = ()
    """The positive class, or each class against the rest: those with the most images."""
    confused: tuple[ConfusedPair, ...] = ()
    """Of three classes or more, the most frequent confusion first."""
    surest_mistakes: tuple[Example, ...] = ()
    """Wrong predictions, the highest probability first."""
    unsure_right: tuple[Example, ...] = ()
    """Right predictions, the lowest probability first."""
    ranges: tuple[GroupRange, ...] = ()
    """The best and worst predicted groups of each column, for each label."""
