"""Which engine computes relevance, by name."""

from __future__ import annotations

from torch import nn
from zennit.core import Composite

from melaudit.choices import EngineName
from melaudit.errors import ConfigurationError
from melaudit.relevance.engines.canonizers import find_canonizer
from melaudit.relevance.interface import Engine


def choose_engine(engine: str, canonizer: str = "auto") -> str:
    """Return the engine meant: "auto" is dataflow, or zennit where a canonizer is named.

    Only zennit has canonizers. Raises ConfigurationError for a name that is none.
    """
    if engine not in tuple(EngineName):
        raise ConfigurationError(
            f"there is no engine {engine!r}; choose one of {', '.join(EngineName)}"
        )
    if engine != "auto":
        return engine
    return "dataflow" if canonizer == "auto" else "zennit"


def other_engine(engine: str) -> str | None:
    """Return the engine that can check this one by the same rules; None where there is none."""
    if engine == "dataflow":
        return "zennit"
    return "dataflow" if engine == "zennit" else None


def build_engine(
    engine: str,
    model: nn.Module,
    rules: Composite,
    canonizer: str,
    num_classes: int | None,
    biased: bool = False,
) -> Engine:
    """Return a new engine of that name for the model; see `canonizers` for their names.

    `biased` lets biases absorb their share in dataflow, as they always do in zennit.

    Raises ConfigurationError or RelevanceError for a canonizer that is unknown or does not fit.
    """
    # Imported here, since zennit-crp imports matplotlib, which takes a second.
    if engine == "zennit":
        from melaudit.relevance.engines.zennit import ZennitEngine

        return ZennitEngine(model, rules, canonizer, num_classes)
    if canonizer != "auto":
        find_canonizer(canonizer, model)  # not used, but an unknown name is an error
    if engine == "gradient_x_input":
        from melaudit.relevance.engines.gradient import GradientEngine

        return GradientEngine(model, num_classes)
    if engine == "occlusion":
        from melaudit.relevance.engines.occlusion import OcclusionEngine

        return OcclusionEngine(model, num_classes)
    from melaudit.relevance.dataflow.engine import DataflowEngine

    return DataflowEngine(model, rules, num_classes=num_classes, biased=biased)
