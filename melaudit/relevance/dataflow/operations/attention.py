"""Self-attention: the weights are gates, relevance goes through the values.

A softmax of products of queries and keys weighs the values; held constant, what is left is linear
in the values and conserves relevance (Ali et al., XAI for transformers: better explanations
through conservative propagation, ICML 2022, who show that the gradient through the softmax does
not). AttnLRP (Achtibat et al., ICML 2024) lets half of it through to queries and keys instead.

Attention written out by hand needs nothing of this: its softmax and products are seen as such.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow

_SIGNATURE = inspect.signature(functional.multi_head_attention_forward)


def scaled_dot_product(
    flow: Flow, call: Call, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Any:
    """F.scaled_dot_product_attention: with queries and keys constant, the gradient is the rule."""
    if not flow.is_signal(value):
        return flow.metered(call)
    attended = call.function(query.detach(), key.detach(), value, *args, **kwargs)
    call.signals = [value]
    return flow.follow(call, attended)


def multi_head(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """F.multi_head_attention_forward on queries (L, N, E), keys and values (S, N, E).

    The projections of values and outputs are linear layers under the composite's rule.
    """
    bound = _SIGNATURE.bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    if given["query"].ndim == 2:
        return _unbatched(flow, given)
    heads, p = given["num_heads"], given["dropout_p"] * bool(given["training"])
    weights, biases = _projections(given)
    with torch.no_grad():
        query = functional.linear(given["query"].detach(), weights[0], biases[0])
        key = functional.linear(given["key"].detach(), weights[1], biases[1])
    with flow:
        value = functional.linear(given["value"], weights[2], biases[2])
        if given["bias_k"] is not None:
            key = torch.cat((key, given["bias_k"].detach().expand(1, *key.shape[1:])))
            value = torch.cat((value, given["bias_v"].detach().expand(1, *value.shape[1:])))
        if given["add_zero_attn"]:
            key = torch.cat((key, key.new_zeros(1, *key.shape[1:])))
            value = torch.cat((value, torch.zeros_like(key[:1, :, :1]).expand(1, *value.shape[1:])))
        q, k, v = (_by_head(t, heads) for t in (query, key, value))
        mask = _mask(given, q, k)
        attended = functional.scaled_dot_product_attention(q, k, v, mask, p)
        attended = attended.permute(2, 0, 1, 3).flatten(2)
        output = functional.linear(attended, given["out_proj_weight"], given["out_proj_bias"])
    if not given["need_weights"]:
        return output, None
    with torch.no_grad():
        scores = q @ k.mT / q.shape[-1] ** 0.5
        attention = (scores if mask is None else scores + mask).softmax(-1)
    return output, attention.mean(1) if given["average_attn_weights"] else attention


def _unbatched(flow: Flow, given: dict[str, Any]) -> Any:
    """Run a single sequence (L, E) as a batch of one."""
    with flow:
        for name in ("query", "key", "value"):
            given[name] = given[name].unsqueeze(1)
        if given["key_padding_mask"] is not None:
            given["key_padding_mask"] = given["key_padding_mask"].unsqueeze(0)
        output, attention = functional.multi_head_attention_forward(**given)
        return output.squeeze(1), None if attention is None else attention.squeeze(0)


def _projections(given: dict[str, Any]) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return the weights and biases that make queries, keys and values."""
    if given["use_separate_proj_weight"]:
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = list(given["in_proj_weight"].detach().chunk(3))
    bias = given["in_proj_bias"]
    return weights, [None] * 3 if bias is None else list(bias.detach().chunk(3))


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    """Turn (L, N, heads * d) into (N, heads, L, d)."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).permute(1, 2, 0, 3)


def _mask(given: dict[str, Any], query: Tensor, key: Tensor) -> Tensor | None:
    """Return what is added to the scores (N, heads, L, S), or None; extra keys are never masked."""
    added = torch.zeros((), dtype=query.dtype, device=query.device)
    attention, padding = given["attn_mask"], given["key_padding_mask"]
    if attention is None and padding is None:
        return None
    if attention is not None:
        attention = _additive(attention, query.dtype)
        if attention.ndim == 3:
            attention = attention.unflatten(0, (len(query), -1))
        added = added + attention
    if padding is not None:
        added = added + _additive(padding, query.dtype)[:, None, None, :]
    return functional.pad(added, (0, key.shape[2] - added.shape[-1]))


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask that says True where not to look into one that is added to the scores."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    added: Tensor = torch.where(mask, -torch.inf, 0.0)
    return added.to(dtype)


OPERATIONS: dict[str, Operation] = {
    "scaled_dot_product_attention": scaled_dot_product,
    "multi_head_attention_forward": multi_head,
}
