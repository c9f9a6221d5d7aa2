"""The table `[intended_use]` of a settings file: what the model is for, and what it must reach.

[intended_use]
purpose = "Tells a dermatologist which moles to look at first."
population = "Adults seen at two clinics; dermoscopy."
reference_standard = "Histopathology."
operating_threshold = 0.3        # the model decides for the positive class from here on

[intended_use.acceptance]        # limits; the whole 95 % interval must keep to them
sensitivity = 0.9                # of the positive class
specificity = 0.8
accuracy = 0.85
auc = 0.9
calibration_error = 0.1          # must not exceed it
recall = { melanoma = 0.95 }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from melaudit.tables import Share, read_table

MEASURES = ("sensitivity", "specificity", "accuracy", "auc", "calibration_error")
"""Figures that a limit can be set for, besides the recall of each class."""


@dataclass(frozen=True)
class _Acceptance:
    """The table of limits, as it is written."""

    sensitivity: Share | None = None
    specificity: Share | None = None
    accuracy: Share | None = None
    auc: Share | None = None
    calibration_error: Share | None = None
    recall: Mapping[str, Share] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """The whole table, as it is written."""

    purpose: str = ""
    population: str = ""
    reference_standard: str = ""
    operating_threshold: Share | None = None
    acceptance: _Acceptance = field(default_factory=_Acceptance)


@dataclass(frozen=True)
class Stated:
    """The intended use as it is stated; nothing is judged yet."""

    purpose: str = ""
    population: str = ""
    reference_standard: str = ""
    operating_threshold: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    """Measure -> limit, those of `MEASURES` before "recall of NAME"."""


def stated(table: Mapping[str, Any], where: str = "intended_use") -> Stated | None:
    """Read the table; None where it is empty.

    Raises ConfigurationError, naming `where`, for an unknown key or a wrong value.
    """
    if not table:
        return None
    read = read_table(table, _Table, where)
    limits = {name: getattr(read.acceptance, name) for name in MEASURES}
    limits |= {f"recall of {name}": limit for name, limit in read.acceptance.recall.items()}
    return Stated(
        read.purpose,
        read.population,
        read.reference_standard,
        read.operating_threshold,
        {name: limit for name, limit in limits.items() if limit is not None},
    )
