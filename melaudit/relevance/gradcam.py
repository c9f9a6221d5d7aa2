"""Grad-CAM: where the channels lie that raise the explained logit (Selvaraju et al., ICCV 2017).

A second opinion, for it shares nothing with LRP but the model: the map is coarse, one value per
place of the layer, and shows only what speaks for the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.logits import predictions
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.layers import find_layer, first_tensor
from melaudit.relevance.model.outputs import find_logits, start_relevance


@dataclass(frozen=True)
class GradCam:
    """What Grad-CAM is made of, at one layer: N images, C channels of h x w places."""

    activations: Tensor
    """(N, C, h, w) output of the layer."""
    importance: Tensor
    """(N, C) the gradient of the explained logit, its mean over space: Eq. 1 of the paper."""

    def maps(self, attention: Tensor | None = None) -> Tensor:
        """Return the maps (N, h, w) >= 0: ReLU of the channels' weighted sum (Eq. 2 of the paper).

        `attention` (N, C) multiplies each channel's contribution. Where the model itself applies
        it behind the layer, the gradient has that factor in it already, and it counts twice.
        """
        weights = self.importance
        if attention is not None:
            if attention.shape != weights.shape:
                raise RelevanceError(
                    f"attention is {tuple(attention.shape)}; expected one weight for each image "
                    f"and channel, {tuple(weights.shape)}"
                )
            weights = weights * attention.to(weights)
        return (weights[..., None, None] * self.activations).sum(1).relu()


def grad_cam(
    model: nn.Module,
    x: Tensor,
    target: Tensor | None,
    layer: str,
    num_classes: int | None = None,
) -> GradCam:
    """Run the model on x (N, C, H, W) and explain the classes target (N,) at a layer.

    None explains the predicted classes. A single logit z is explained as z for class 1 and as -z
    for class 0. The model is run in evaluation mode and left as it was.

    Raises RelevanceError when the layer does not exist, does not run exactly once, gives no map
    (N, C, h, w), or has no influence on the logits.
    """
    seen: list[Tensor] = []

    def note(module: nn.Module, inputs: object, output: object) -> Tensor | None:
        tensor = first_tensor(output)
        if tensor is None:
            return None
        seen.append(tensor)
        # The model goes on with a copy: an in-place operation would change what was noted.
        return tensor.clone() if tensor is output else None

    restore = remember_state(model)
    handle = find_layer(model, layer).register_forward_hook(note)
    try:
        model.eval()
        model.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            logits = find_logits(model(x.detach().clone().requires_grad_()), num_classes)
            features = _single_map(seen, layer)
            explained = predictions(logits) if target is None else target.to(logits.device)
            score = start_relevance(logits, explained).sum()
            (gradient,) = torch.autograd.grad(score, features, allow_unused=True)
    finally:
        handle.remove()
        restore()
    if gradient is None:
        raise RelevanceError(
            f"layer {layer} has no influence on the logits; name a layer the decision goes through"
        )
    return GradCam(features.detach(), gradient.mean((2, 3)))


def join(parts: Sequence[GradCam]) -> GradCam:
    """Put the results of a batch's parts together."""
    return GradCam(
        torch.cat([part.activations for part in parts]),
        torch.cat([part.importance for part in parts]),
    )


def _single_map(seen: Sequence[Tensor], layer: str) -> Tensor:
    if len(seen) != 1:
        raise RelevanceError(
            f"layer {layer} gave {len(seen)} tensors that gradients reach in one forward pass; "
            "Grad-CAM needs a layer that runs once"
        )
    if seen[0].ndim != 4:
        raise RelevanceError(
            f"layer {layer} gives {tuple(seen[0].shape)}; Grad-CAM needs a map (N, C, h, w)"
        )
    return seen[0]
