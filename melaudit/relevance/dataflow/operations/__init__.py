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
from melaudit.relevance.dataflow.operations.unknown import PASSIVE, unknown
from melaudit.relevance.dataflow.rearrangements import (
    ARRANGEMENTS,
    REARRANGEMENTS,
    RECTIFIERS,
    SIGN_KEEPERS,
    moves,
)

__all__ = [
    "ARRANGEMENTS",
    "BY_COMPOSITE",
    "IN_WORDS",
    "OPERATIONS",
    "PASSIVE",
    "REARRANGEMENTS",
    "RECTIFIERS",
    "SIGN_KEEPERS",
    "moves",
    "unknown",
]

OPERATIONS: dict[str, Operation] = {}
IN_WORDS: dict[str, str] = {}
"""What holds for the operation of a name, for a reader."""

for _words, _table in {
    "gradient: of degree one, conserves": gradients.OPERATIONS,
    "gradient; a constant that is added keeps its share": sums.OPERATIONS,
    "gates held constant, two signals get half each": products.OPERATIONS,
    "the composite's rule": linear.OPERATIONS,
    "statistics held constant": normalisation.OPERATIONS,
    "relevance passed on unchanged": elementwise.OPERATIONS,
    "attention weights held constant": attention.OPERATIONS,
}.items():
    OPERATIONS.update(_table)
    IN_WORDS.update(dict.fromkeys(_table, _words))

BY_COMPOSITE = frozenset(linear.OPERATIONS)
"""The operations for which the composite has the rules."""
