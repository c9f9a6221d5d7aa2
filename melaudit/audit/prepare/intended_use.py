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

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from melaudit.errors import ConfigurationError

MEASURES = ("sensitivity", "specificity", "accuracy", "auc", "calibration_error")
"""Figures that a limit can be set for, besides the recall of each class."""
_TEXTS = ("purpose", "population", "reference_standard")


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
    _known(table, (*_TEXTS, "operating_threshold", "acceptance"), where)
    texts = {}
    for name in _TEXTS:
        texts[name] = table.get(name, "")
        if not isinstance(texts[name], str):
            raise ConfigurationError(f"{where}.{name} is {texts[name]!r}; expected a text")
    threshold = table.get("operating_threshold")
    if threshold is not None:
        threshold = _share(threshold, f"{where}.operating_threshold")
    return Stated(
        **texts,
        operating_threshold=threshold,
        limits=_limits(table.get("acceptance", {}), f"{where}.acceptance"),
    )


def _limits(table: Any, where: str) -> dict[str, float]:
    _table(table, where)
    _known(table, (*MEASURES, "recall"), where)
    limits = {name: _share(table[name], f"{where}.{name}") for name in MEASURES if name in table}
    recall = table.get("recall", {})
    _table(recall, f"{where}.recall")
    for name, value in recall.items():
        limits[f"recall of {name}"] = _share(value, f"{where}.recall.{name}")
    return limits


def _table(value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} is {value!r}; expected a table, such as auc = 0.9")


def _known(table: Mapping[str, Any], names: Collection[str], where: str) -> None:
    for name in table:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
            raise ConfigurationError(f"{where}: unknown key {name!r}; {hint}")


def _share(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigurationError(f"{where} is {value!r}; expected a number from 0 to 1")
    return float(value)
