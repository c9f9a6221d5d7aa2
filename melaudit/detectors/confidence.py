"""How sure a finding is, from the clarity of its statistics and the health of the maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from melaudit.findings import Evidence, Rung, Trust

DOUBTED = 0.6
"""What is left of the confidence when maps take part that are in doubt."""
MOST = 0.99


def confidence(chain: Sequence[Evidence], trust: Trust) -> float:
    """Return 0 to 1 from the p-value of the least sure rung that was reached: 1 - 2 * sqrt(p).

    That is .94 at p = .001, .80 at .01 and .55 at .05. A rung is as sure as the best evidence that
    carries it.
    """
    carrying = [e for e in chain if e.reached and e.p_value is not None]
    if not carrying:
        return 0.0
    rungs = {e.rung for e in carrying}
    weakest = max(min(e.p_value or 0.0 for e in carrying if e.rung is rung) for rung in rungs)
    sure = max(0.0, 1 - 2 * math.sqrt(weakest))
    if trust is Trust.DEGRADED and any(e.rung is Rung.ATTENTION for e in carrying):
        sure *= DOUBTED
    return round(min(sure, MOST), 3)
