"""Operations that move values: which dimension of the result each dimension becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from melaudit.relevance.dataflow import axes
from melaudit.relevance.dataflow.axes import Moves, Shape
from melaudit.relevance.dataflow.calls import Call

ARRANGEMENTS = frozenset(
    "H T alias as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to cat "
    "channel_shuffle chunk clone column_stack contiguous cpu cuda diagonal double dsplit dstack "
    "expand expand_as flatten flip fliplr flipud float gather getitem hsplit hstack identity "
    "index_select mH mT masked_select movedim narrow native_channel_shuffle pad permute "
    "pixel_shuffle pixel_unshuffle positive ravel real repeat repeat_interleave reshape "
    "reshape_as resolve_conj resolve_neg roll rot90 select slice split split_with_sizes squeeze "
    "stack swapaxes t take take_along_dim tensor_split tile to transpose tril triu type type_as "
    "unbind unflatten unfold unsqueeze unsafe_chunk unsafe_split view view_as vsplit "
    "vstack".split()
)
"""Operations that only move values: each element of the result is one of the input, or zero."""


RESHAPES = frozenset(
    "alias atleast_1d clone contiguous flatten float ravel reshape reshape_as squeeze to type "
    "type_as unflatten unsqueeze view view_as".split()
)
"""Operations that keep the elements in row-major order."""


REARRANGEMENTS = RESHAPES | {"T", "mT", "movedim", "permute", "t", "transpose"}
"""Operations that keep every element exactly once."""


LEADING = frozenset(("fold", "unfold", "diag_embed", "col2im", "im2col", "view_as_real"))
"""Operations that add or remove dimensions at the end and keep the first ones."""


REDUCTIONS = frozenset(
    "amax amin aminmax kthvalue logsumexp max mean median min mode nanmean nanmedian nanquantile "
    "nansum norm quantile std sum topk var linalg_norm linalg_vector_norm vector_norm".split()
)
"""Operations with an argument `dim` that may vanish from the shape."""


RECTIFIERS = frozenset(("relu", "relu6", "abs", "sigmoid", "hardsigmoid", "softmax"))
"""Operations that never return a negative value."""


POOLINGS = frozenset(
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d max_pool1d "
    "max_pool2d max_pool3d".split()
)


SIGN_KEEPERS = POOLINGS | REARRANGEMENTS | {"cat", "getitem", "dropout"}
"""Operations that return no negative value where they get none."""


def moves(call: Call, source: Shape, result: Shape) -> Moves | None:
    """Return which dimension of the result each dimension of the call's first signal became.

    None where the elements keep their row-major order.
    """
    name, args, ndim = call.name, call.args[1:], len(source)
    numbers = args[0] if args and isinstance(args[0], tuple | list) else args
    if name in RESHAPES:
        return None
    if name == "transpose":
        a, b = (*args, *call.kwargs.values())[:2]
        return axes.exchanged(ndim, a, b)
    if name in ("mT", "mH") or (name in ("t", "T", "H") and ndim == 2):
        return axes.exchanged(ndim, -1, -2)
    if name == "T":
        return axes.permuted(range(ndim)[::-1])
    if name == "permute":
        return axes.permuted(call.kwargs.get("dims", numbers))
    if name == "movedim":
        named = {**dict(zip(("source", "destination"), args, strict=False)), **call.kwargs}
        return axes.shifted(ndim, *map(_several, (named["source"], named["destination"])))
    if name == "getitem":
        return axes.indexed(ndim, args[0])
    if name in ("select", "unbind"):
        return axes.dropped(ndim, [args[0] if args else call.kwargs.get("dim", 0)])
    if name == "stack":
        return axes.inserted(ndim, args[0] if args else call.kwargs.get("dim", 0))
    if name in REDUCTIONS and len(result) < ndim:
        return axes.dropped(ndim, _reduced(call, ndim, len(result)))
    if name == "einsum":
        return _einsum_moves(call, ndim)
    if len(result) < ndim or name in LEADING:
        kept = [a == b for a, b in zip(source, result, strict=False)]
        return [d if all(kept[: d + 1]) and d < len(kept) else None for d in range(ndim)]
    return axes.aligned(source, result)


def _reduced(call: Call, ndim: int, left: int) -> Sequence[int]:
    """Return the dimensions that a reduction summed over."""
    dim = call.kwargs.get("dim", call.kwargs.get("axis"))
    if dim is None:
        candidates = [a for a in call.args[1:] if _is_dims(a, ndim)]
        dims = [_several(a) for a in candidates if len(_several(a)) == ndim - left]
        # norm(x, p, dim) has its dimension last, sum(x, dim, keepdim) first.
        return (dims[-1] if "norm" in call.name else dims[0]) if dims else range(ndim)
    return _several(dim)


def _is_dims(value: Any, ndim: int) -> bool:
    """Whether an argument can name dimensions."""
    several = value if isinstance(value, tuple | list) else [value]
    return all(
        isinstance(d, int) and not isinstance(d, bool) and -ndim <= d < ndim for d in several
    )


def _several(dims: Any) -> Sequence[int]:
    return tuple(dims) if isinstance(dims, tuple | list) else (dims,)


def _einsum_moves(call: Call, ndim: int) -> Moves:
    """Return where the letters of the first signal went in an equation like `bhqk,bkhd->bqhd`."""
    equation = str(call.args[0]).replace(" ", "")
    inputs, arrow, output = equation.partition("->")
    operands = call.args[1:]
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    places = [i for i, o in enumerate(operands) if o is max(call.signals, key=lambda t: t.ndim)]
    letters = inputs.split(",")[places[0]]
    if "." in equation or len(letters) != ndim:
        return list(range(ndim))
    if not arrow:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    return [output.index(c) if c in output else None for c in letters]
