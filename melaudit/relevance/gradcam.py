"""Grad-CAM: where the channels are active that raise the explained logit (Selvaraju et al., 2017).

It is a second opinion, since it shares nothing with LRP but the model. The map is coarse, with one
value for each position of the layer, and shows only what speaks for the class.

Reference: Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based
localization, ICCV 2017.
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
from melaudit.relevance.model.tokens import as_map


@dataclass(frozen=True)
class GradCam:
    """What Grad-CAM consists of at one layer: N images, C channels of h x w positions."""

    activations: Tensor
    """(N, C, h, w) output of the layer."""
    importance: Tensor
    """(N, C) the gradient of the explained logit, averaged over space: Eq. 1 of the paper."""

    def maps(self, attention: Tensor | None = None) -> Tensor:
        """Return the maps (N, h, w) >= 0: ReLU of the channels' weighted sum (Eq. 2 of the paper).

        `attention` (N, C) multiplies each channel's contribution. Where the model itself applies
        it behind the layer, the gradient contains that factor already, so that it counts twice.
        Raises RelevanceError for attention of another shape.
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
        # The model continues with a copy: an in-place operation would change what was noted.
        return tensor.clone() if tensor is output else None

    restore = remember_state(model)
    handle = find_layer(model, layer).register_forward_hook(note)
    try:
        model.eval()
        model.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            logits = find_logits(model(x.detach().clone().requires_grad_()), num_classes)
            features = _single_map(seen, layer, x)
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
    of_features, of_gradient = (as_map(t, *x.shape[2:]) for t in (features.detach(), gradient))
    assert of_features is not None and of_gradient is not None
    return GradCam(of_features, of_gradient.mean((2, 3)))


def join(chunks: Sequence[GradCam]) -> GradCam:
    """Return the result of a whole batch, given those of its chunks."""
    return GradCam(
        torch.cat([chunk.activations for chunk in chunks]),
        torch.cat([chunk.importance for chunk in chunks]),
    )


def _single_map(seen: Sequence[Tensor], layer: str, x: Tensor) -> Tensor:
    if len(seen) != 1:
        raise RelevanceError(
            f"layer {layer} gave {len(seen)} tensors that gradients reach in one forward pass; "
            "Grad-CAM needs a layer that runs once"
        )
    if as_map(seen[0], *x.shape[2:]) is None:
        raise RelevanceError(
            f"layer {layer} gives {tuple(seen[0].shape)}; Grad-CAM needs a map (N, C, h, w) "
            "or tokens (N, T, D) that lie on a grid"
        )
    return seen[0]
