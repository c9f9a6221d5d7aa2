"""How sure a finding is, from the clarity of its statistics and the health of the maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from melaudit.findings import Evidence, Rung, Trust

DOUBTED = 0.6
"""What is left of the confidence when maps take part that are in doubt."""
MOST = 0.99


def confidence(chain: Sequence[Evidence], trust: Trust) -> float:
    """Return 0 to 1 from the weakest p-value that carries a rung: 1 - 2 * sqrt(p).

    That is .94 at p = .001, .80 at .01 and .55 at .05.
    """
    carrying = [e for e in chain if e.reached and e.p_value is not None]
    if not carrying:
        return 0.0
    weakest = max(e.p_value or 0.0 for e in carrying)
    sure = max(0.0, 1 - 2 * math.sqrt(weakest))
    if trust is Trust.DEGRADED and any(e.rung is Rung.ATTENTION for e in carrying):
        sure *= DOUBTED
    return round(min(sure, MOST), 3)
