"""New weights in the same architecture: the checkpoint's own tensors, but for the last layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from melaudit.errors import CheckpointError
from melaudit.mitigation.head import Head
from melaudit.models.checkpoint import read_weights
from melaudit.models.messages import shown
from melaudit.publish import publish

NOTE = "melaudit.mitigation"
"""The key in the file's metadata under which stands what was changed."""


def install(model: nn.Module, head: Head) -> None:
    """Put the weights of a head into a model, in place. An absent bias must stay absent (or 0).

    Raises CheckpointError where the layer has no bias and the head needs one.
    """
    layer = model.get_submodule(head.name)
    weight, bias = layer.get_parameter("weight"), getattr(layer, "bias", None)
    if bias is None and np.abs(head.bias).max(initial=0) > 0:
        raise CheckpointError(
            f"the last layer, {head.name}, has no bias, and other weights for it need one; build "
            "the model with bias=True in that layer, with zeros, and audit that"
        )
    with torch.no_grad():
        weight.copy_(torch.from_numpy(head.weight).reshape(weight.shape))
        if isinstance(bias, Tensor):
            bias.copy_(torch.from_numpy(head.bias))


def replaced(checkpoint: Path, before: Head, after: Head) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, under its own names, with the weights of another head.

    Raises CheckpointError where the head's weights cannot be found in it under one name.
    """
    tensors = dict(read_weights(checkpoint).tensors)
    new = {"weight": after.weight, "bias": after.bias}
    for part, old in (("weight", before.weight), ("bias", before.bias)):
        names = [
            name
            for name, tensor in tensors.items()
            if (name == f"{before.name}.{part}" or name.endswith(f".{before.name}.{part}"))
            and _same(tensor, old)
        ]
        if not names and part == "bias" and not np.abs(new["bias"]).max(initial=0):
            continue
        if len(names) != 1:
            raise CheckpointError(
                f"{shown(checkpoint)} holds the {part} of the last layer, {before.name}, under "
                f"{len(names)} names; expected one. Save the model's own state_dict and audit that"
            )
        tensor = tensors[names[0]]
        made = torch.from_numpy(new[part]).reshape(tensor.shape).to(tensor.dtype)
        tensors[names[0]] = made
    return tensors


def write(tensors: Mapping[str, Tensor], note: Mapping[str, object], out: Path) -> None:
    """Write tensors as safetensors, whole or not at all, with what was changed as metadata.

    Raises StoreError where the file cannot be written.
    """
    # safetensors refuses tensors that share memory, as tied weights do.
    whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": "pt", NOTE: json.dumps(note, sort_keys=True)}
    publish(out, save(whole, metadata))


def _same(tensor: Tensor, numbers: np.ndarray) -> bool:
    if tensor.numel() != numbers.size:
        return False
    return bool(np.array_equal(tensor.double().reshape(-1).numpy(), numbers.reshape(-1)))
