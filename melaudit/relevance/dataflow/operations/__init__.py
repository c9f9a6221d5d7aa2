"""Every torch operation the engine knows, by canonical name, and what becomes of relevance there.

An operation is a function of the flow, the call and the call's own arguments. It returns what the
call returns, with a backward pass that carries relevance. The engine passes the table to the flow,
so that operations import the flow, and the flow imports no operation.
"""

from __future__ import annotations

from melaudit.relevance.dataflow.calls import OperationTable
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

__all__ = ["OPERATIONS"]

_TABLES = {
    "gradient: of degree one, conserves": gradients.OPERATIONS,
    "gradient; a constant that is added keeps its share": sums.OPERATIONS,
    "gates held constant, two signals get half each": products.OPERATIONS,
    "the composite's rule": linear.OPERATIONS,
    "statistics held constant": normalisation.OPERATIONS,
    "relevance passed on unchanged": elementwise.OPERATIONS,
    "the composite's rule for attention": attention.OPERATIONS,
}
"""What holds for a family of operations -> the family. Later families override earlier ones."""

OPERATIONS = OperationTable(
    rules={name: rule for family in _TABLES.values() for name, rule in family.items()},
    unknown=unknown,
    descriptions={name: words for words, family in _TABLES.items() for name in family},
    by_composite=frozenset(linear.OPERATIONS),
    attention=frozenset(attention.OPERATIONS),
    passive=PASSIVE,
)
