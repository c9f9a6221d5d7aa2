"""What became of a model whose last layer was fitted anew against an artifact that it goes by.

Every figure is of images that no step of the mitigation has used, and is of the same images before
and after. Shares are 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Method(StrEnum):
    """How new weights for the last layer are found."""

    LAST_LAYER = "last_layer"
    """Fitted anew on images in which every class shows the artifact as often."""
    SUPPRESS = "suppress"
    """The features that tell images with and without the artifact apart are left out."""
    PROJECT = "project"
    """The direction in which the features of such images differ is taken out."""


class Outcome(StrEnum):
    """What a mitigation came to."""

    REDUCED = "reduced"
    """The dependence is clearly less, and no group loses more than was allowed."""
    AT_A_COST = "reduced at a cost"
    """The dependence is clearly less, but a group loses more, or another dependence grew."""
    NOT_REDUCED = "not clearly reduced"


@dataclass(frozen=True)
class Paired:
    """A share on n images with the model before and after, and its change with its interval."""

    before: float
    after: float
    change: float
    """After less before."""
    ci_low: float
    ci_high: float
    """Ends of the 95 % interval of the change; images of one patient are resampled together."""
    n: int

    @property
    def falls(self) -> bool:
        """Whether the share is clearly less afterwards."""
        return self.ci_high < 0

    @property
    def rises(self) -> bool:
        """Whether it is clearly more."""
        return self.ci_low > 0


@dataclass(frozen=True)
class Measured:
    """One figure, named."""

    name: str
    """"sensitivity", "benign images with a ring put in, right"."""
    share: Paired
    lost: bool
    """Whether it is less by more than was allowed."""


@dataclass(frozen=True)
class CueChange:
    """How decisions follow one artifact, before and after."""

    artifact: str
    """The key of its trials: "ruler", "colour_cast.bluish"."""
    title: str
    target: str
    """The class that decisions go to when it is put in."""
    flips: Paired
    """Share of images that are predicted as the class with the artifact put in, beyond the neutral
    placebo that does it most."""
    grew: bool
    """Whether decisions follow it clearly more, and by enough to matter."""


@dataclass(frozen=True)
class Mitigated:
    """One mitigation and its proof."""

    finding: str
    """The id of the finding."""
    artifact: str
    title: str
    """Of the artifact: "Black ring of the dermatoscope"."""
    method: Method
    outcome: Outcome
    statement: str
    """What came of it, with counts and intervals."""
    target: str
    """The class that the artifact pushes decisions to."""
    dependence: CueChange
    placebo: CueChange
    """The same for a placebo mitigation: as many fits on as many pictures, with the artifact's
    labels shuffled and a meaningless edit in place of the artifact."""
    figures: tuple[Measured, ...]
    """Accuracy, sensitivity and specificity, with and without the artifact."""
    groups: tuple[Measured, ...]
    """Share right of every class with and without the artifact, images as they are."""
    others: tuple[CueChange, ...]
    """Every other artifact that was looked for, the largest growth first."""
    tolerance: float
    fitted_on: tuple[tuple[str, int], ...]
    """Group of pictures -> how many were at hand to fit on."""
    filled: str
    """Which groups had too few images and how they were filled; "" for none."""
    notes: tuple[str, ...]
    layer: str
    """The layer whose weights are new."""
    features: int
    """How many features it takes."""
    model: str
    """File name of the model as it was audited."""
    model_sha256: str
    data_fingerprint: str
    """Of the audited images, whose halves were for fitting and for the proof."""
    new_model: str
    """File name of the new weights; "" where none were written."""
    new_sha256: str
    command: str
    started: str
    """ISO 8601, UTC."""
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
