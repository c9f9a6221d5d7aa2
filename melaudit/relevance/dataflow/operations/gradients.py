"""Operations whose gradient is their rule: those that are homogeneous of degree one.

For f(t x) = t f(x), t > 0, Euler's theorem gives sum(x * df/dx) = f(x). So relevance per activation
is conserved when it follows the gradient. Linear operations belong to this family, and those that
are linear in pieces, such as ReLU and max pooling.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.ledger import scaled_gradient
from melaudit.relevance.dataflow.marks import Gate
from melaudit.relevance.dataflow.rearrangements import ARRANGEMENTS

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


DROPOUTS = frozenset(
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout "
    "native_dropout".split()
)
"""Random in training; outside of training they return their input."""

NORMALISERS = frozenset("norm linalg_norm linalg_vector_norm vector_norm std".split())
"""Functions whose results are a weight, rather than a signal, where they multiply a signal."""


def gradient(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Make a call whose gradient is its rule."""
    return flow.plain_gradient(call)


def shaped_like(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Make a call whose other tensors only provide their shape or type."""
    if not flow.is_signal(args[0]):
        return call.run()
    call.signals = [args[0]]
    return flow.plain_gradient(call)


def normaliser(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Make a call that measures the size of a signal."""
    normal = flow.plain_gradient(call)
    return flow.follow(call, normal, gate=max(Gate.WEAK, flow.mark(call.signals[0]).gate))


def dropout(
    flow: Flow,
    call: Call,
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Any:
    """Dropout; outside of training it returns the same tensor, so that BatchNorms can be folded."""
    return flow.plain_gradient(call) if training and p else input


def squared(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Operations of degree two, torch.var: by Euler's theorem half of the gradient conserves."""
    halved = scaled_gradient(call.signals[0], 0.5)
    return flow.follow(call, call.function(halved, *args[1:], **kwargs))


def grid_sample(flow: Flow, call: Call, input: Tensor, grid: Tensor, *args: Any, **kw: Any) -> Any:
    """F.grid_sample: the grid is held constant, and the sampled values carry the relevance."""
    if not flow.is_signal(input):
        return flow.recorded_gradient(call)
    call.signals = [input]
    return flow.follow(call, call.function(input, grid.detach(), *args, **kw))


def recorded_gradient(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Operations with no better rule than their gradient; the ledger records what that loses."""
    return flow.recorded_gradient(call)


OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys((*ARRANGEMENTS, *HOMOGENEOUS), gradient),
    **dict.fromkeys(("expand_as", "reshape_as", "type_as", "view_as"), shaped_like),
    **dict.fromkeys(DROPOUTS, dropout),
    **dict.fromkeys(NORMALISERS, normaliser),
    "var": squared,
    "grid_sample": grid_sample,
    "logsumexp": recorded_gradient,
}
