"""Every torch operation the engine knows, by canonical name, and what becomes of relevance there.

An operation is a function of the flow, the call and the call's own arguments; it returns what the
call returns, with a backward pass that carries relevance.
"""

from __future__ import annotations

from melaudit.relevance.dataflow.calls import Operation
from melaudit.relevance.dataflow.operations import (
    attention,
    elementwise,
    gradients,
    linear,
    normalisation,
    products,
    sums,
)
from melaudit.relevance.dataflow.operations.gradients import ARRANGEMENTS, moves
from melaudit.relevance.dataflow.operations.unknown import PASSIVE, unknown

__all__ = ["ARRANGEMENTS", "OPERATIONS", "PASSIVE", "moves", "unknown"]

OPERATIONS: dict[str, Operation] = {
    **gradients.OPERATIONS,
    **sums.OPERATIONS,
    **products.OPERATIONS,
    **linear.OPERATIONS,
    **normalisation.OPERATIONS,
    **elementwise.OPERATIONS,
    **attention.OPERATIONS,
}
