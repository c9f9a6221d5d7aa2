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

__all__ = ["ARRANGEMENTS", "FAMILIES", "LINEAR", "OPERATIONS", "PASSIVE", "moves", "unknown"]

OPERATIONS: dict[str, Operation] = {
    **gradients.OPERATIONS,
    **sums.OPERATIONS,
    **products.OPERATIONS,
    **linear.OPERATIONS,
    **normalisation.OPERATIONS,
    **elementwise.OPERATIONS,
    **attention.OPERATIONS,
}

LINEAR = linear.__name__
"""The module of the operations for which the composite has the rules."""

FAMILIES = {
    gradients.__name__: "gradient: of degree one, conserves",
    sums.__name__: "gradient; a constant that is added keeps its share",
    products.__name__: "gates held constant, two signals get half each",
    linear.__name__: "the composite's rule",
    normalisation.__name__: "statistics held constant",
    elementwise.__name__: "relevance passed on unchanged",
    attention.__name__: "attention weights held constant",
    unknown.__module__: "NO RULE: plain gradient, named in the result",
}
"""What holds for the operations of each module, in words."""
