"""Which models and images relevance can be computed for, and errors that say so of all others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from melaudit.errors import MelauditError, RelevanceError, out_of_memory

MAX_LOGIT_DIFFERENCE = 0.05
"""Share of the largest logit by which an engine's logits may differ from the model's own. Chosen: a
round figure between what was seen. Folding a BatchNorm changes them by about 1e-5, merging the
wrong one by far more."""


def explainable(model: nn.Module) -> nn.Module:
    """Return the module to work on: the model, or what is inside of a compiled one.

    Raises RelevanceError for what cannot be hooked or has no gradients, and what to do instead.
    """
    if not isinstance(model, nn.Module):
        raise RelevanceError(f"the model is {type(model).__name__}; expected a torch.nn.Module")
    model = getattr(model, "_orig_mod", model)
    if isinstance(model, torch.jit.ScriptModule):
        raise RelevanceError(
            "the model is a TorchScript module, whose operations cannot be followed; "
            "give the model it was made from"
        )
    for name, parameter in model.named_parameters():
        if parameter.dtype not in (torch.float32, torch.float64):
            raise RelevanceError(
                f"the weight {name} is {parameter.dtype}; relevance needs float32: call "
                "model.float() first"
            )
        if parameter.is_inference():
            raise RelevanceError(
                "the model was made inside torch.inference_mode, where gradients cannot follow; "
                "load it outside"
            )
    return model


def accepted(x: Tensor, model: nn.Module) -> Tensor:
    """Return images x (N, C, H, W) on the model's device and in its precision.

    Raises RelevanceError for what is not a batch of images.
    """
    if not isinstance(x, Tensor) or x.ndim != 4 or not len(x):
        given = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise RelevanceError(f"images are {given}; expected a tensor (N, C, H, W), N at least 1")
    parameter = next(model.parameters(), x)
    dtype = torch.float64 if parameter.dtype == torch.float64 else torch.float32
    return x.detach().to(parameter.device, dtype)


def check_logits(logits: Tensor, own: Tensor, engine: str) -> None:
    """Raise RelevanceError when an engine's logits (N, K) are not the model's own.

    Then it is another model that the engine explains. What counts is the largest difference, over
    the largest of the model's own logits.
    """
    difference = float((logits - own).abs().max() / own.abs().max().clamp_min(1e-12))
    if difference > MAX_LOGIT_DIFFERENCE:
        raise RelevanceError(
            f"under {engine} the logits differ by {100 * difference:.0f} % from the model's own, "
            "so the maps would explain another model; use the canonizer none or the engine dataflow"
        )


@contextmanager
def model_errors(x: Tensor) -> Iterator[None]:
    """Turn an error of the model itself into a RelevanceError that names the shape of x."""
    try:
        yield
    except MelauditError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise RelevanceError(
            f"the model fails on an input of shape {tuple(x.shape)}: {type(error).__name__}: "
            f"{error}; check the image size and the preprocessing"
        ) from error
