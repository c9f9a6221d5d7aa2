"""Skin tone as it was estimated from the pictures, and performance along it."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit.findings.performance import Figure


@dataclass(frozen=True)
class ToneTrend:
    """Whether right predictions have lighter or darker skin than wrong ones of the same label."""

    pairs: Figure
    """Of two images of one label, one right and one wrong: how often the right one has the lighter
    skin, 0 to 1; .5 is no trend."""
    p_value: float
    q_value: float
    """Corrected over all tests of the run."""
    clear: bool
    """Whether it is clear of chance after correction."""


@dataclass(frozen=True)
class ToneEstimate:
    """What one published method says."""

    id: str
    title: str
    source: str
    n: int
    """Images that it gives an angle for."""
    darkest: float
    """The angle, in degrees, that 10 of 100 images lie below; lighter skin has a larger one."""
    median: float
    lightest: float
    """The angle that 10 of 100 images lie above."""
    n_right: int
    n_wrong: int
    """Labelled images (or patients) with an angle that are predicted right, and wrong."""
    trend: ToneTrend | None
    """None where there are too few to assess it."""
    statement: str


@dataclass(frozen=True)
class SkinTone:
    """The tone of the skin round the lesion, by methods that disagree."""

    images: int
    estimates: tuple[ToneEstimate, ...]
    n_both: int
    """Images that both methods give an angle for."""
    disagreement: Figure | None
    """Median distance of the two angles of an image, in degrees."""
    correlation: Figure | None
    """Of their ranks (Spearman), -1 to 1."""
    min_right: int
    """Right, and wrong, predictions from which a trend is assessed."""
    statement: str
