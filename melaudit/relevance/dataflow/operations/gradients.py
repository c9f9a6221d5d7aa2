"""Operations whose gradient is their rule: those homogeneous of degree one.

For f(t x) = t f(x), t > 0, Euler's theorem gives sum(x * df/dx) = f(x): relevance per activation,
sent down the gradient, is conserved. To this family belong the linear operations and those that
are linear piece by piece, such as ReLU and max pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from melaudit.relevance.dataflow import axes
from melaudit.relevance.dataflow.axes import Moves, Shape
from melaudit.relevance.dataflow.books import scaled_gradient
from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.marks import Gate

if TYPE_CHECKING:
    from melaudit.relevance.dataflow.flow import Flow

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
"""These only move values about: each element of the result is one of the input, or zero."""

RESHAPES = frozenset(
    "alias atleast_1d clone contiguous flatten float ravel reshape reshape_as squeeze to type "
    "type_as unflatten unsqueeze view view_as".split()
)
"""These keep the elements in row-major order."""

REARRANGEMENTS = RESHAPES | {"T", "mT", "movedim", "permute", "t", "transpose"}
"""These keep all of the elements, once each."""

LEADING = frozenset(("fold", "unfold", "diag_embed", "col2im", "im2col", "view_as_real"))
"""These add or take dimensions at the end and leave the first ones alone."""

REDUCTIONS = frozenset(
    "amax amin aminmax kthvalue logsumexp max mean median min mode nanmean nanmedian nanquantile "
    "nansum norm quantile std sum topk var linalg_norm linalg_vector_norm vector_norm".split()
)
"""These take a `dim` that may leave the shape."""

HOMOGENEOUS = frozenset(
    "abs adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool1d_with_indices adaptive_max_pool2d adaptive_max_pool2d_with_indices "
    "adaptive_max_pool3d affine_grid amax amin aminmax avg_pool1d avg_pool2d avg_pool3d bfloat16 "
    "cdist col2im complex conj conj_physical copy cummax cummin cumsum diag diag_embed diff dist "
    "fft_fft fft_fft2 fft_fftn fft_fftshift fft_hfft fft_ifft fft_ifft2 fft_ifftn fft_ifftshift "
    "fft_ihfft fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftn fold "
    "fractional_max_pool2d fractional_max_pool3d half hypot im2col imag index_add index_copy "
    "interpolate kthvalue leaky_relu lp_pool1d lp_pool2d lp_pool3d max_pool1d "
    "max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d "
    "max_pool3d_with_indices max_unpool1d max_unpool2d max_unpool3d mean median msort nanmean "
    "nanmedian nanquantile nansum neg prelu quantile relu rrelu scatter scatter_add "
    "scatter_reduce segment_reduce sort sum topk trapezoid trapz upsample upsample_bicubic2d "
    "upsample_bilinear upsample_bilinear2d upsample_linear1d upsample_nearest upsample_nearest1d "
    "upsample_nearest2d upsample_nearest3d upsample_trilinear3d view_as_complex "
    "view_as_real zero".split()
)

RECTIFIERS = frozenset(("relu", "relu6", "abs", "sigmoid", "hardsigmoid", "softmax"))
"""Whatever goes in, nothing negative comes out."""

POOLINGS = frozenset(
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d max_pool1d "
    "max_pool2d max_pool3d".split()
)

SIGN_KEEPERS = POOLINGS | REARRANGEMENTS | {"cat", "getitem", "dropout"}
"""Where nothing negative goes in, nothing negative comes out."""

DROPOUTS = frozenset(
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout "
    "native_dropout".split()
)
"""Random in training, and nothing at all otherwise."""

NORMALISERS = frozenset("norm linalg_norm linalg_vector_norm vector_norm std".split())
"""A factor rather than a feature where they meet a feature."""


def gradient(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Make a call whose gradient is its rule."""
    return flow.native(call)


def shaped_like(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Make a call whose other tensors only lend their shape or type."""
    if not flow.is_signal(args[0]):
        return call.run()
    call.signals = [args[0]]
    return flow.native(call)


def normaliser(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Make a call that measures the size of a signal."""
    normal = flow.native(call)
    return flow.follow(call, normal, gate=max(Gate.WEAK, flow.mark(call.signals[0]).gate))


def dropout(
    flow: Flow,
    call: Call,
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Any:
    """Dropout; out of training it hands on the very tensor, so that folds still find it."""
    return flow.native(call) if training and p else input


def squared(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Operations of degree two, torch.var: by Euler's theorem half the gradient is conserved."""
    halved = scaled_gradient(call.signals[0], 0.5)
    return flow.follow(call, call.function(halved, *args[1:], **kwargs))


def grid_sample(flow: Flow, call: Call, input: Tensor, grid: Tensor, *args: Any, **kw: Any) -> Any:
    """F.grid_sample: where it looks is constant, what it finds carries the relevance."""
    if not flow.is_signal(input):
        return flow.metered(call)
    call.signals = [input]
    return flow.follow(call, call.function(input, grid.detach(), *args, **kw))


def metered(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Operations whose gradient is the best there is, and whose loss the books show."""
    return flow.metered(call)


def moves(call: Call, source: Shape, result: Shape) -> Moves | None:
    """Return which dimension of the result each dimension of the call's first signal became.

    None where the order of the elements is what it was.
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
        given = {**dict(zip(("source", "destination"), args, strict=False)), **call.kwargs}
        return axes.shifted(ndim, *map(_several, (given["source"], given["destination"])))
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
    """Read from an equation such as `bhqk,bkhd->bqhd` where the first signal's letters went."""
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


OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys((*ARRANGEMENTS, *HOMOGENEOUS), gradient),
    **dict.fromkeys(("expand_as", "reshape_as", "type_as", "view_as"), shaped_like),
    **dict.fromkeys(DROPOUTS, dropout),
    **dict.fromkeys(NORMALISERS, normaliser),
    "var": squared,
    "grid_sample": grid_sample,
    "logsumexp": metered,
}
