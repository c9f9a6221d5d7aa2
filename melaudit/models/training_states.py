"""What lies beside weights in a checkpoint: states of metrics and losses, and normalisation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from melaudit.models.checkpoint import Weights
from melaudit.wording.names import visible

_METRIC = re.compile(
    r"metric|loss|criterion|kappa|specificity|sensitivity|confusion|confmat"
    r"|(^|_)(acc|accuracy|auroc|auc|ap|f1|f1score|precision|recall|mcc)(_|$)",
    re.I,
)
"""A part of the names of modules that hold metrics and losses."""
_METRIC_STATES = {
    *("tp", "fp", "tn", "fn", "confmat", "correct", "total", "thresholds", "preds", "target"),
    *("mean_value", "sum_value", "max_value", "min_value", "value", "weight", "count"),
    *("class_weight", "class_weights", "pos_weight", "alpha"),
}
"""Names of states in torchmetrics, and of the weights of losses."""
_CLASS_WEIGHTS = {"class_weight", "class_weights", "pos_weight", "loss_weight", "loss_weights"}
_NORMALISATION = {
    *("mean", "std", "pixel_mean", "pixel_std", "image_mean", "image_std"),
    *("img_mean", "img_std", "norm_mean", "norm_std"),
}
_MAX_SHOWN = 5


def is_training_state(key: str) -> bool:
    """Tell from its name whether a tensor is a state of a metric or loss, or normalises images."""
    *owners, last = key.split(".")
    if last in _CLASS_WEIGHTS or (last in _NORMALISATION and len(owners) < 2):
        return True
    return last in _METRIC_STATES and any(_METRIC.search(owner) for owner in owners)


def without_states(weights: Weights) -> Weights:
    """Return weights without what lies beside them, and a note that names it.

    Normalisation that a wrapper did is not done any more; the note has the options that do it.
    """
    states = {key: value for key, value in weights.tensors.items() if is_training_state(key)}
    if not states or len(states) == len(weights.tensors):
        return weights
    names = [visible(key) for key in states]
    shown = ", ".join(names[:_MAX_SHOWN]) + " ..." * (len(names) > _MAX_SHOWN)
    notes = [f"Left out, as no weights of the model: {shown}."]
    options = _normalisation(states)
    if options:
        notes.append(
            f"A part of the model that normalised images was left out with them: pass {options}, "
            "if images came to it on a scale of 0 to 1."
        )
    kept = {key: value for key, value in weights.tensors.items() if key not in states}
    return replace(weights, tensors=kept, notes=(*weights.notes, *notes))


def _normalisation(states: Mapping[str, Tensor]) -> str:
    """Return --mean and --std with the values of the tensors left out; "" if one is lacking."""
    options = []
    for option in ("mean", "std"):
        found = [v for k, v in states.items() if k.rpartition(".")[2].endswith(option)]
        if len(found) != 1 or found[0].numel() not in (1, 3):
            return ""
        options.append(f"--{option} {','.join(f'{v:g}' for v in found[0].flatten().tolist())}")
    return " ".join(options)
