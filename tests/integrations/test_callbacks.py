"""Callbacks at the end of a training, with stand-ins for the libraries, which tests do not install.

docs/pipelines.md says with which versions of them they were tried.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from torch import nn

from melaudit.result import Audit
from tests.reports.made_up_record import record

FOUND = Audit.of(record().findings)
Asked = list[tuple[Any, Any, dict[str, Any]]]
OURS = ("melaudit.integrations.lightning", "melaudit.integrations.hugging_face")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Let every audit be one that found a ring, and return what is asked for."""
    made: Asked = []

    def stub(model: Any, data: Any, **options: Any) -> Audit:
        made.append((model, data, options))
        return FOUND

    monkeypatch.setattr("melaudit.api.audit", stub)
    return made


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for the libraries by the one class that each callback inherits from."""
    for name, base in {
        "lightning": "",
        "lightning.pytorch": "Callback",
        "pytorch_lightning": "Callback",
        "transformers": "TrainerCallback",
    }.items():
        module = ModuleType(name)
        if base:
            setattr(module, base, type(base, (), {}))
        monkeypatch.setitem(sys.modules, name, module)
    for name in OURS:
        sys.modules.pop(name, None)
    yield
    for name in OURS:  # what was made of stand-ins is of no use to anybody else
        sys.modules.pop(name, None)


class Logger:
    """What Lightning's loggers have in common."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, float], int]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.logged.append((metrics, step))


def trainer(rank: int) -> SimpleNamespace:
    return SimpleNamespace(is_global_zero=rank == 0, loggers=[Logger(), Logger()], global_step=7)


@pytest.mark.parametrize("older", [False, True])
def test_lightning_audits_the_network_and_logs(
    libraries: None, asked: Asked, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    if older:  # None stands for a module that cannot be imported
        monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    made = importlib.import_module("melaudit.integrations.lightning")
    assert made.AuditCallback.__base__.__name__ == "Callback"
    network = nn.Linear(2, 2)
    whole = SimpleNamespace(inner=SimpleNamespace(network=network))
    deep = made.AuditCallback("images", module="inner.network", image_size=32)
    first = trainer(0)
    deep.on_fit_end(first, whole)
    assert asked == [(network, "images", {"progress": False, "image_size": 32})]
    assert deep.audit is FOUND
    figures = {"melaudit/findings": float(len(FOUND.findings)), "melaudit/gate_passes": 0.0}
    assert [logger.logged for logger in first.loggers] == [[(figures, 7)]] * 2
    made.AuditCallback("images").on_fit_end(trainer(0), whole)
    assert asked[1][0] is whole


def test_lightning_audits_in_one_process_alone(libraries: None, asked: Asked) -> None:
    made = importlib.import_module("melaudit.integrations.lightning")
    callback = made.AuditCallback("images")
    other = trainer(1)
    callback.on_fit_end(other, nn.Linear(2, 2))
    assert asked == [] and callback.audit is None and other.loggers[0].logged == []


def ended(callback: Any, names: dict[int, str] | None, *, first: bool = True) -> Any:
    """End a training, as the Trainer of Hugging Face tells its callbacks; return the model."""
    model = SimpleNamespace(config=SimpleNamespace(id2label=names))
    state = SimpleNamespace(is_world_process_zero=first)
    callback.on_train_end(None, state, None, model=model, optimizer=None)
    return model


def test_hugging_face_takes_classes_from_the_model(libraries: None, asked: Asked) -> None:
    made = importlib.import_module("melaudit.integrations.hugging_face")
    assert made.AuditCallback.__base__.__name__ == "TrainerCallback"
    callback = made.AuditCallback(Path("images"), out="audit")
    model = ended(callback, {1: "malignant", 0: "benign"})
    classes = ("benign", "malignant")
    options = {"progress": False, "classes": classes, "out": "audit"}
    assert asked == [(model, Path("images"), options)]
    assert callback.audit is FOUND
    ended(made.AuditCallback("images", classes=("a", "b")), {0: "x", 1: "y"})
    ended(made.AuditCallback("images"), None)
    assert [options.get("classes") for _, _, options in asked[1:]] == [("a", "b"), None]


def test_hugging_face_audits_in_one_process_alone(libraries: None, asked: Asked) -> None:
    made = importlib.import_module("melaudit.integrations.hugging_face")
    callback = made.AuditCallback("images")
    ended(callback, {}, first=False)
    assert asked == [] and callback.audit is None
