"""Self-attention, by the composite's rule: through the values, or through the weights as well.

A softmax of products of queries and keys weighs the values. With these weights held constant, the
rest is linear in the values and conserves relevance; the gradient through the softmax does not (Ali
et al., XAI for transformers: better explanations through conservative propagation, ICML 2022).
AttnLRP (Achtibat et al., ICML 2024) instead passes half of it to the weights, on by the softmax's
gradient, and half of that to queries and half to keys. For this rule, fused attention is written
out; attention that a model writes out itself has rules for its softmax and its products anyway.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.relevance.dataflow.calls import Call, Operation
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.marks import Gate, put_mark
from melaudit.relevance.dataflow.operations.elementwise import activation
from melaudit.relevance.dataflow.operations.heads import attended, heads_dim
from melaudit.relevance.dataflow.rulebook import AttentionRule

_SIGNATURE = inspect.signature(functional.multi_head_attention_forward)


def scaled_dot_product(
    flow: Flow, call: Call, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Any:
    """F.scaled_dot_product_attention: with constant queries and keys, the gradient is the rule."""
    if not flow.is_signal(value):
        return flow.recorded_gradient(call)
    if flow.rulebook.attention is AttentionRule.ATTNLRP:
        with flow:
            return _written_out(query, key, value, *args, **kwargs)
    mixed = call.function(query.detach(), key.detach(), value, *args, **kwargs)
    call.signals = [value]
    return attended(flow, flow.follow(call, mixed), heads_dim(mixed))


def multi_head(flow: Flow, call: Call, *args: Any, **kwargs: Any) -> Any:
    """F.multi_head_attention_forward on queries (L, N, E), keys and values (S, N, E).

    The projections of values and outputs are linear layers that follow the composite's rule.
    """
    bound = _SIGNATURE.bind(*args, **kwargs)
    bound.apply_defaults()
    named = bound.arguments
    if named["query"].ndim == 2:
        return _unbatched(flow, named)
    heads, p = named["num_heads"], named["dropout_p"] * bool(named["training"])
    weights, biases = _projections(named)
    constant = flow.rulebook.attention is AttentionRule.CONSTANT
    with torch.no_grad() if constant else flow:
        query = functional.linear(named["query"], weights[0], biases[0])
        key = functional.linear(named["key"], weights[1], biases[1])
    with flow:
        value = functional.linear(named["value"], weights[2], biases[2])
        if named["bias_k"] is not None:
            key = torch.cat((key, named["bias_k"].detach().expand(1, *key.shape[1:])))
            value = torch.cat((value, named["bias_v"].detach().expand(1, *value.shape[1:])))
        if named["add_zero_attn"]:
            key = torch.cat((key, key.new_zeros(1, *key.shape[1:])))
            value = torch.cat((value, torch.zeros_like(key[:1, :, :1]).expand(1, *value.shape[1:])))
        q, k, v = (_by_head(t, heads) for t in (query, key, value))
        mask = _mask(named, q, k)
        mixed = functional.scaled_dot_product_attention(q, k, v, mask, p)
        mixed = mixed.permute(2, 0, 1, 3).flatten(2)
        output = functional.linear(mixed, named["out_proj_weight"], named["out_proj_bias"])
    if not named["need_weights"]:
        return output, None
    with torch.no_grad():
        scores = q @ k.mT / q.shape[-1] ** 0.5
        attention = (scores if mask is None else scores + mask).softmax(-1)
    return output, attention.mean(1) if named["average_attn_weights"] else attention


def softmax(flow: Flow, call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """F.softmax: a gate, behind which nothing arrives; by AttnLRP's rule, gradient times input.

    What the latter does not hand on is recorded. The softmax of (N, K) is a model's last operation,
    no attention.
    """
    constant = flow.rulebook.attention is AttentionRule.CONSTANT
    if constant or input.ndim < 3 or not flow.is_signal(input):
        return activation(flow, call, input, *args, gate=Gate.STRONG, **kwargs)
    # A masked score is minus infinity. Nothing arrives there, but zero times that is no number.
    held = input.detach()
    held = torch.where(held.isfinite(), held, torch.zeros_like(held))
    scores = flow.ledger.record(input, flow.layer, flow.mark(input).images, -1.0, held)
    weights = flow.follow(call, call.function(scores, *args, **kwargs), gate=Gate.STRONG)
    mark = flow.mark(weights)
    recorded = flow.ledger.record(weights, flow.layer, mark.images)
    put_mark(recorded, mark)
    return recorded


def _written_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return what F.scaled_dot_product_attention does, by operations that have rules."""
    if enable_gqa:
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=scores.dtype).masked_fill(
            ~attn_mask, -torch.inf
        )
    weights = functional.softmax(scores if attn_mask is None else scores + attn_mask, -1)
    return functional.dropout(weights, dropout_p) @ value


def _unbatched(flow: Flow, named: dict[str, Any]) -> Any:
    """Run a single sequence (L, E) as a batch of one."""
    with flow:
        for name in ("query", "key", "value"):
            named[name] = named[name].unsqueeze(1)
        if named["key_padding_mask"] is not None:
            named["key_padding_mask"] = named["key_padding_mask"].unsqueeze(0)
        output, attention = functional.multi_head_attention_forward(**named)
        return output.squeeze(1), None if attention is None else attention.squeeze(0)


def _projections(named: dict[str, Any]) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return the weights and biases that project to queries, keys and values."""
    if named["use_separate_proj_weight"]:
        weights = [named[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = list(named["in_proj_weight"].detach().chunk(3))
    bias = named["in_proj_bias"]
    return weights, [None] * 3 if bias is None else list(bias.detach().chunk(3))


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    """Reshape (L, N, heads * d) to (N, heads, L, d)."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).permute(1, 2, 0, 3)


def _mask(named: dict[str, Any], query: Tensor, key: Tensor) -> Tensor | None:
    """Return what is added to the scores (N, heads, L, S), or None; added keys are never masked."""
    added = torch.zeros((), dtype=query.dtype, device=query.device)
    attention, padding = named["attn_mask"], named["key_padding_mask"]
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
    """Return a mask that is added to the scores, given one that may be True where not to look."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    added: Tensor = torch.where(mask, -torch.inf, 0.0)
    return added.to(dtype)


OPERATIONS: dict[str, Operation] = {
    "scaled_dot_product_attention": scaled_dot_product,
    "multi_head_attention_forward": multi_head,
    "softmax": softmax,
}
