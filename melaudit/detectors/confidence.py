"""How sure a finding is, from the clarity of its statistics and the health of the maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from melaudit.findings import Evidence, Rung, Trust

DOUBTED_FACTOR = 0.6
"""Confidence in findings that rest on maps is multiplied by this where the maps are in doubt.
Chosen, not measured."""
MAX_CONFIDENCE = 0.99
"""No statistic makes a finding certain. Chosen, not measured."""


def confidence(evidence: Sequence[Evidence], trust: Trust) -> float:
    """Return 0 to 1 from the q-value of the least certain rung that was reached: 1 - 2 * sqrt(q).

    That is .94 at q = .001, .80 at .01 and .55 at .05; the formula is chosen, not measured, and is
    no probability. A rung takes its best evidence. 0 where no tested evidence reaches a rung.
    """
    carrying = [(e.rung, e.q_value) for e in evidence if e.reached and e.q_value is not None]
    if not carrying:
        return 0.0
    weakest = max(min(q for r, q in carrying if r is rung) for rung, _ in carrying)
    sure = max(0.0, 1 - 2 * math.sqrt(weakest))
    if trust is Trust.DEGRADED and any(rung is Rung.ATTENTION for rung, _ in carrying):
        sure *= DOUBTED_FACTOR
    return round(min(sure, MAX_CONFIDENCE), 3)
