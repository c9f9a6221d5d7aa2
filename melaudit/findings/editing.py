"""How far the trial of an edit went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tried:
    """How many images one edit was tried on, and why on no more."""

    artifact: str
    """The artifact or its kind: "colour_cast.bluish"."""
    edit: str
    """"add" or "remove"."""
    n: int
    """Images edited."""
    planned: int
    """Images that would have been, had the trial not ended before or some not been readable."""
    placebos: int
    """Images that a placebo of it was shown on."""
    error: float
    """Share of the error of the look that it ended with: 1 where there was to be but one."""
    stop: str
    """"all", "excluded" or "clear"."""
    reason: str
    """Why it ended there, as a sentence."""
