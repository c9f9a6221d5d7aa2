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
