"""How the audited images differ from those that the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit.findings.performance import Figure


@dataclass(frozen=True)
class Drift:
    """One artifact or property, in the training images and in the audited ones.

    Each class counts alike in both, so that another mix of classes is no drift.
    """

    id: str
    """The artifact's or the property's id."""
    title: str
    is_rate: bool
    """Whether the figures are shares of images; else they are means in `unit`."""
    unit: str
    training: float
    audited: float
    difference: Figure
    """Audited minus training."""
    p_value: float
    q_value: float
    """Corrected over all tests of the run."""
    clear: bool
    """Whether the difference is clear of chance after correction."""
    n_training: int
    n_audited: int
    """Images, or patients where these are known."""
    statement: str
