"""Where attention is met, and which dimension counts its heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from melaudit.relevance.dataflow.axes import Axis
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.marks import Gate
from melaudit.relevance.dataflow.taps import Tap
from melaudit.relevance.model.layers import HEADS

_SAYS_HEADS = ("num_heads", "num_attention_heads", "n_heads", "heads", "nhead")
"""Attributes in which modules say how many heads they have."""


def mixes(flow: Flow, factors: Sequence[Any]) -> bool:
    """Whether a product of matrices is attention: a softmax of such products weighs a third."""
    signals = [f for f in factors if isinstance(f, Tensor) and flow.is_signal(f)]
    gates = [flow.mark(signal).gate for signal in signals]
    if len(gates) < 2:
        return False
    if min(gates) == max(gates):
        flow.products = True
        return False
    return flow.products and max(gates) == Gate.STRONG


def attended(flow: Flow, mixed: Tensor, dim: int | None) -> Tensor:
    """Note the output of attention, whose dimension `dim` counts heads; None if none does.

    Where the running module says how many heads it has, and it is another number, `dim` counts
    something else: some models count heads with the images.
    """
    flow.attends = True
    module = flow.modules[-1][1] if flow.modules else None
    said = [getattr(module, name, None) for name in _SAYS_HEADS]
    known = [number for number in said if isinstance(number, int)]
    if dim is None or not flow.layer or (known and mixed.shape[dim] not in known):
        return mixed
    name = f"{flow.layer}{HEADS}"
    flow.heads.setdefault(name, []).append(mixed.shape[dim])
    if name in flow.tapped:
        mark = replace(flow.mark(mixed), channels=Axis.at(mixed.shape, dim), step=None)
        flow.taps[name] = Tap.on(name, mixed, mark, len(flow.leaf))
    return mixed


def heads_dim(mixed: Tensor) -> int | None:
    """Return the dimension that counts heads in attention's output (N, ..., heads, L, d).

    None for (N, L, d), which has no such dimension.
    """
    return mixed.ndim - 3 if mixed.ndim > 3 else None
