"""Which engine computes relevance, and the arithmetic all of them compute in."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from zennit.core import Composite

from melaudit.errors import ConfigurationError
from melaudit.relevance.engines.canonizers import find_canonizer
from melaudit.relevance.interface import Engine

ENGINES = ("auto", "dataflow", "zennit", "gradient_x_input", "occlusion")
"""The last two follow no rules of LRP: they stand in where no composite can be used."""


def choose_engine(engine: str, canonizer: str = "auto") -> str:
    """Return the engine meant: "auto" is dataflow, or zennit where a canonizer is named.

    Only zennit has canonizers; and zennit stands in where dataflow is not installed.
    Raises ConfigurationError for a name that is none.
    """
    if engine not in ENGINES:
        raise ConfigurationError(
            f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}"
        )
    if engine != "auto":
        return engine
    return "dataflow" if _has_dataflow() and canonizer == "auto" else "zennit"


def other_engine(engine: str) -> str | None:
    """Return the engine that can check on this one by the same rules; None where there is none."""
    if engine == "dataflow":
        return "zennit"
    return "dataflow" if engine == "zennit" and _has_dataflow() else None


def _has_dataflow() -> bool:
    return importlib.util.find_spec("melaudit.relevance.dataflow.engine") is not None


def build_engine(
    engine: str,
    model: nn.Module,
    rules: Composite,
    canonizer: str,
    num_classes: int | None,
    biased: bool = False,
) -> Engine:
    """Make the engine of that name for the model; see `canonizers` for the names of those.

    `biased` lets biases take their share in dataflow as well, as they always do in zennit.

    Raises ConfigurationError or RelevanceError for a canonizer that is unknown or does not fit.
    """
    # Imported here: zennit-crp brings matplotlib along and takes a second to load.
    if engine == "zennit":
        from melaudit.relevance.engines.zennit import ZennitEngine

        return ZennitEngine(model, rules, canonizer, num_classes)
    if canonizer != "auto":
        find_canonizer(canonizer, model)  # needs none, but says so if the name is wrong
    if engine == "gradient_x_input":
        from melaudit.relevance.engines.gradient import GradientEngine

        return GradientEngine(model, num_classes)
    if engine == "occlusion":
        from melaudit.relevance.engines.occlusion import OcclusionEngine

        return OcclusionEngine(model, num_classes)
    from melaudit.relevance.dataflow.engine import DataflowEngine

    return DataflowEngine(model, rules, num_classes=num_classes, biased=biased)


@contextmanager
def exact() -> Iterator[None]:
    """Multiply float32 as float32: no TF32 on a GPU, whose 10 bits would show in the maps.

    Torch has two sets of switches for this and refuses to read the old one where they disagree, so
    both are turned and both are put back.
    """
    backends: Any = torch.backends
    operations = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
    precisions = [operation.fp32_precision for operation in operations]
    switches = [(b, _allows(b)) for b in (backends.cudnn, backends.cuda.matmul)]
    try:
        for switch, _ in switches:
            switch.allow_tf32 = False
        for operation in operations:
            operation.fp32_precision = "ieee"
        yield
    finally:
        for switch, allowed in switches:
            if allowed is not None:
                switch.allow_tf32 = allowed
        for operation, precision in zip(operations, precisions, strict=True):
            operation.fp32_precision = precision


def _allows(switch: Any) -> bool | None:
    """Read the old switch; None where the user's own settings already disagree."""
    try:
        return bool(switch.allow_tf32)
    except RuntimeError:
        return None
