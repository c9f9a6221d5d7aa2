"""One place for corrections: every p-value of a run goes through here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Return q-values (Benjamini and Hochberg 1995) in the order given; None and NaN stay None."""
    tested = [i for i, p in enumerate(p_values) if p is not None and not math.isnan(p)]
    q_values: list[float | None] = [None] * len(p_values)
    if tested:
        adjusted = stats.false_discovery_control(np.array([p_values[i] for i in tested], float))
        for i, q in zip(tested, adjusted, strict=True):
            q_values[i] = float(q)
    return q_values
