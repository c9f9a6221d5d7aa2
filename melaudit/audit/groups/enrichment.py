"""What the images of a group have more often than others: artifacts and metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.statistics.correction import clear, settle
from melaudit.statistics.estimates import Tested, odds_ratio

Bools = NDArray[np.bool_]

MAX_VALUES = 12
"""Distinct values of a column, at most, that are compared one by one. Chosen, not measured."""
MIN_IMAGES_WITH_VALUE = 10
"""Images that must have a value. Chosen, not measured."""


@dataclass(frozen=True)
class Enriched:
    """How frequent a trait is inside a group and outside."""

    name: str
    inside: float
    """Share of the group's images that have it."""
    outside: float
    odds: Tested
    """With a q-value over everything that was compared for these groups."""

    @property
    def more(self) -> bool:
        """Whether it is more frequent inside, beyond chance."""
        return clear(self.odds) and self.odds.low > 1


def traits(
    artifacts: Mapping[str, Bools], metadata: Mapping[str, Iterable[object]]
) -> dict[str, Bools]:
    """Return the traits that groups are compared by: name -> (n,) whether an image has it.

    Artifacts by their names, metadata as "column = value", or "column > median" where it holds
    many numbers. Texts that are nearly all different, or the same, say nothing about groups.
    """
    found: dict[str, Bools] = {name: np.asarray(has, bool) for name, has in artifacts.items()}
    for column, values in metadata.items():
        texts = np.array([_text(value) for value in values], object)
        distinct, counts = np.unique(texts[texts != ""].astype(str), return_counts=True)
        if len(distinct) > MAX_VALUES and all(isinstance(v, int | float | None) for v in values):
            numbers = np.array([np.nan if v is None else v for v in values], float)
            median = float(np.nanmedian(numbers))
            found[f"{column} > {median:g}"] = numbers > median
        elif 1 < len(distinct) <= MAX_VALUES:
            for value_text in distinct[counts >= MIN_IMAGES_WITH_VALUE]:
                found[f"{column} = {value_text}"] = texts == value_text
    return found


def enriched(
    groups: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], traits: Mapping[str, Bools]
) -> list[list[Enriched]]:
    """Compare the rows of each group with the rows outside it, by every trait.

    groups: (rows inside, rows outside). The most in excess come first; q-values run
    over all groups and traits.
    """
    tables = [
        (g, name, _table(has[inside], has[outside]))
        for g, (inside, outside) in enumerate(groups)
        for name, has in traits.items()
        if len(inside) and len(outside)
    ]
    estimates = settle([odds_ratio(table) for _, _, table in tables])
    found: list[list[Enriched]] = [[] for _ in groups]
    for (g, name, table), estimate in zip(tables, estimates, strict=True):
        inside, outside = table[0, 0] / table[0].sum(), table[1, 0] / table[1].sum()
        found[g].append(Enriched(name, inside, outside, estimate))
    for group in found:
        group.sort(key=lambda e: (e.outside - e.inside, e.name))
    return found


def _table(inside: Bools, outside: Bools) -> NDArray[np.int64]:
    return np.array([[half.sum(), (~half).sum()] for half in (inside, outside)], np.int64)


def _text(value: object) -> str:
    """Return a metadata value as text; empty where it is missing."""
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return "" if missing else str(value)
