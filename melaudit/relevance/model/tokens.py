"""The features of transformers: tokens, whose channels come last, and where in the image they are.

A layer of tokens gives (N, T, D), or (N, h, w, D) as in windowed transformers. All that works on
channels takes a layer's output by `channels_first`, and all that shows places by `as_map`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

MAX_OTHERS = 8
"""Tokens at most that stand for no place of the image: class tokens, and registers a model has by
design (Darcet et al., Vision transformers need registers, ICLR 2024: 4). Chosen."""


def is_tokens(shape: Sequence[int]) -> bool:
    """Whether an output of this shape is (N, T, D), or (N, h, w, D) as in windowed transformers.

    The two orders of axes of a map can be told apart because h = w.
    """
    if len(shape) == 4:
        return shape[1] == shape[2] != shape[3] and shape[1] > 1
    return len(shape) == 3 and shape[1] > 1


def channels_first(output: Tensor) -> Tensor:
    """Return a layer's output with its channels in the second dimension; a view.

    (N, T, D) becomes (N, D, T), (N, h, w, D) becomes (N, D, h, w), and others stay as they are.
    """
    return output.movedim(-1, 1) if is_tokens(output.shape) else output


def as_map(output: Tensor, height: int, width: int) -> Tensor | None:
    """Return a layer's output on an image of height x width as (N, D, h, w); a view.

    Tokens that stand for no place come first and are left out: as few as make the rest a grid of
    square cells. None where there is no such grid.
    """
    output = channels_first(output)
    if output.ndim == 4:
        return output
    if output.ndim != 3:
        return None
    tokens = output.shape[2]
    for others in range(min(MAX_OTHERS, tokens - 1) + 1):
        rows = round(math.sqrt((tokens - others) * height / width))
        columns = (tokens - others) // max(rows, 1)
        if rows * columns == tokens - others > 1 and rows * width == columns * height:
            grid: Tensor = output[..., others:].unflatten(2, (rows, columns))
            return grid
    return None


UNUSUAL = 4.0
"""Standard deviations of the norms of an image's tokens, above their mean, from which a token
counts as a register. The usual value: tokens so far out hold what is global and not what is there
(Darcet et al., Vision transformers need registers, ICLR 2024)."""


def unusual(tokens: Tensor) -> Tensor:
    """Return which tokens (N, D, h, w) of each image have an unusually large norm: (N, h, w)."""
    norms = tokens.double().norm(dim=1)
    mean, spread = norms.mean((1, 2), keepdim=True), norms.std((1, 2), keepdim=True)
    beyond: Tensor = norms > mean + UNUSUAL * spread
    return beyond
