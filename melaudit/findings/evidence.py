"""Evidence, and what is claimed from it: findings, what was not found, what was skipped, checks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


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


DISCOVERED = "discovered"
"""Begins the ids of detectors of what an audit found in its own images."""


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
    NOT_CHECKED = "not checked"
    """Too few of the checks could be made to believe the maps, though none failed."""
    UNUSABLE = "unusable"

    @property
    def usable(self) -> bool:
        """Whether findings may rest on the maps."""
        return self in (Trust.TRUSTED, Trust.DEGRADED)


class CheckStatus(StrEnum):
    """The outcome of one explanation check."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    DEGRADED = "degraded"
    FAIL = "fail"


class Mitigation(StrEnum):
    """Why a finding counts for less than the rungs that it reached."""

    SELECTED = "selected"
    """Its images were chosen by what is claimed of them, and no edit has tested the claim."""
    EXPLAINED = "explained"
    """Another finding accounts for it."""
    NATURAL = "natural"
    """It may belong to the disease, or to the people who have it."""
    SLIGHT = "slight"
    """It is too rare to change a figure of the audit."""
    UNNAMED = "unnamed"
    """It was discovered, and nobody has said what it is: it may belong to the object."""

    @property
    def at_most(self) -> Severity:
        """The highest severity that such a finding can have."""
        known = {Mitigation.SELECTED: Severity.LOW, Mitigation.UNNAMED: Severity.MEDIUM}
        return known.get(self, Severity.INFO)


def severity_of(
    reached: Collection[Rung],
    tested: Collection[Rung] = (),
    mitigation: Mitigation | None = None,
) -> Severity:
    """Return how bad a finding is by the rungs it reached, among those that were tested.

    A model that uses what the labels reward has learned a shortcut; one that uses it although they
    do not may have other reasons. Looking counts less where use was tested and not seen. What each
    severity asks of a reader: `SEVERITIES` in melaudit/wording/terms.py.
    """
    found = _by_rungs(reached, tested)
    return found if mitigation is None else min(found, mitigation.at_most, key=lambda s: s.rank)


def _by_rungs(reached: Collection[Rung], tested: Collection[Rung]) -> Severity:
    rewarded = Rung.OPPORTUNITY in reached
    if Rung.HARM in reached:
        return Severity.CRITICAL if rewarded else Severity.HIGH
    if Rung.DEPENDENCE in reached:
        return Severity.HIGH if rewarded else Severity.MEDIUM
    if Rung.ATTENTION in reached:
        return Severity.LOW if Rung.DEPENDENCE in tested else Severity.MEDIUM
    return Severity.LOW if reached else Severity.INFO


@dataclass(frozen=True)
class Counts:
    """Predictions of one class on the same images, as they are and changed."""

    images: str
    """Which images, in the plural: "benign images", "ring-free images"."""
    n: int
    target: str
    """The class that is counted."""
    before: int
    """Images predicted as the class as they are, of n."""
    after: int
    """The same once they are changed."""
    change: str
    """What was done to them: "a black ring put in"."""


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
    """None for a figure that was counted, not tested."""
    q_value: float | None
    """The p-value after correction over everything this run tested; None as p."""
    n: int
    """Images the estimate rests on."""
    null: str
    """The hypothesis it was tested against, in words."""
    reached: bool
    """Whether the statistic carries the rung (effect large enough, interval clear of the null)."""
    statement: str
    """The statistic as a sentence with counts a person can picture."""
    counts: Counts | None = None
    """The counts under it, where images were changed and asked about again."""


@dataclass(frozen=True)
class Test:
    """One of the tests of a run, so that a reader can count and correct them again."""

    claim: str
    """Id of the finding it could have carried, or of what was not found."""
    name: str
    """The figure that was tested; see `Evidence.name`."""
    n: int
    p_value: float
    q_value: float


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

    @property
    def discovered(self) -> bool:
        """Whether it is about what an audit found in its own images."""
        return self.detector.partition("_")[0] == DISCOVERED


@dataclass(frozen=True)
class Skipped:
    """A detector that could not be applied, and why: a result, never a silence."""

    detector: str
    reason: str


@dataclass(frozen=True)
class Failed(Skipped):
    """A detector that broke off with an error: what it asks is open, so nothing passes."""

    @classmethod
    def by(cls, detector: str, error: Exception) -> Failed:
        """Make one of the error that broke a detector off."""
        return cls(detector, f"it failed: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class NotFound:
    """Something that was looked for and not found, and how small an effect would have been seen."""

    artifact: str
    n: int
    minimum_detectable_effect: float | None
    """On the scale named by `effect`; None when the test has no such figure."""
    effect: str
    """What the figure measures, with its unit: "odds ratio"."""
    statement: str
    p_value: float | None = None
    """Of the test that found nothing; the run's list of tests has it with its q-value."""
    excluded: bool | None = None
    """Whether an effect that matters is excluded, by an equivalence test; None where nothing can
    tell. Only True is absence: a test that found nothing proves none."""
    edited: bool = False
    """Whether images were edited to test it, so that it is about dependence."""
    needed: int | None = None
    """Edited images that would exclude an effect that matters, were the estimates to stay; None
    where no number would, or nothing was edited."""


@dataclass(frozen=True)
class Reaction:
    """What the model does with an artifact that the images it is known to have met do not show.

    It cannot have learned a shortcut from them, so this is robustness and no finding on a shortcut.
    """

    artifact: str
    title: str
    classes: tuple[str, ...]
    """The class that decisions go to."""
    n: int
    statement: str
    evidence: tuple[Evidence, ...]
    does_not_show: str


@dataclass(frozen=True)
class Check:
    """One question put to the explanations themselves."""

    id: str
    status: CheckStatus
    value: float | None
    threshold: float
    statement: str
    """What was asked, the figure and what it means, in a sentence or two."""
