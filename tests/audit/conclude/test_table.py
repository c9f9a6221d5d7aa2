"""The table that is concluded from: what of the store is kept in memory."""

from __future__ import annotations

import numpy as np

from melaudit.audit.conclude.table import MAX_LARGE_COLUMNS, columns_of
from melaudit.measurements import Array


def test_single_values_are_kept_and_of_maps_only_the_last_few_used() -> None:
    read: list[str] = []

    def column(name: str) -> Array:
        read.append(name)
        return np.zeros((5, 2, 2) if name.startswith("map") else 5)

    columns = columns_of(column)
    maps = [f"map {k}" for k in range(MAX_LARGE_COLUMNS)]
    for name in ("score", *maps, "score", *maps):
        assert len(columns(name)) == 5
    assert read == ["score", *maps]
    columns("map more")
    columns(maps[-1])
    assert read[-1] == "map more"
    columns(maps[0])
    assert read[-1] == maps[0], "it was let go"
    columns("score")
    assert read.count("score") == 1
