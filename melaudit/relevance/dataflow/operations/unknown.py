"""Operations without a rule, and those that need none because no relevance passes them."""

from __future__ import annotations

from typing import Any

from torch.overrides import resolve_name

from melaudit.relevance.dataflow.calls import Call, tensors
from melaudit.relevance.dataflow.flow import Flow

PASSIVE = frozenset(
    "all allclose any argmax argmin argsort array assert bool broadcast_shapes bucketize contains "
    "count_nonzero data_ptr deepcopy detach dim dir element_size empty_like eq equal format "
    "full_like ge get_device gt hash histc int is_complex is_contiguous is_floating_point "
    "is_grad_enabled is_inference is_nonzero is_same_size isfinite isinf isnan item le len "
    "logical_and logical_not logical_or long lt names ndimension ne nelement new_empty new_full "
    "new_ones new_tensor new_zeros nonzero numel numpy ones_like rand_like randn_like "
    "register_hook repr requires_grad result_type retain_grad searchsorted set_grad_enabled "
    "signbit size storage_offset stride tolist untyped_storage version "
    "zeros_like".split()
)
"""Operations that ask about a tensor, or make one that does not depend on its values."""


def unknown(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """Make a call by its gradient, and report it by name if relevance passes through it at all."""
    result = flow.recorded_gradient(call)
    if any(t.requires_grad for t in tensors(result)):
        flow.report(resolve_name(call.function) or call.name)
    return result
