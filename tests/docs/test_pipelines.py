"""The examples of docs/pipelines.md run, with made-up audits and stand-ins for trainers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from torch import nn

import melaudit
from melaudit.integrations import pytest_plugin
from melaudit.result import Audit
from tests.docs import pages
from tests.integrations.test_build_servers import ACTION, GITLAB, HOOKS
from tests.reports.made_up_variants import nothing_found

PAGE = "docs/pipelines.md"
LIBRARIES = {"lightning.pytorch": "Callback", "transformers": "TrainerCallback"}
OURS = ("melaudit.integrations.lightning", "melaudit.integrations.hugging_face")


PASSES = Audit.of(replace(nothing_found().findings, intended_use=None))


class Trainer:
    """A training that ends at once, as both libraries tell their callbacks."""

    def __init__(self, model: object = None, *, callbacks: list[Any], **more: object) -> None:
        self.model, self.callbacks = model, callbacks

    def fit(self, module: object) -> None:
        ended = SimpleNamespace(is_global_zero=True, loggers=[], global_step=0)
        self.callbacks[0].on_fit_end(ended, module)

    def train(self) -> None:
        state = SimpleNamespace(is_world_process_zero=True)
        self.callbacks[0].on_train_end(None, state, None, model=self.model)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let every audit pass, and return the models that are audited."""
    models: list[Any] = []

    def stub(model: Any, data: Any, **options: Any) -> Audit:
        models.append(model)
        return PASSES

    monkeypatch.setattr("melaudit.api.audit", stub)
    monkeypatch.setattr(melaudit, "audit", stub)
    for name, base in LIBRARIES.items():
        module = ModuleType(name)
        setattr(module, base, type(base, (), {}))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return models


def test_the_examples_of_python_run(asked: list[Any]) -> None:
    model: Any = nn.Linear(2, 2)
    model.config = SimpleNamespace(id2label={0: "benign", 1: "malignant"})
    lit = SimpleNamespace(model=model)
    known = {"Trainer": Trainer, "model": model, "lit": lit, "arguments": None, "data": None}
    blocks = [b for b in pages.blocks(PAGE) if b.startswith(("import ", "from "))]
    assert len(blocks) == 3
    for block in blocks:
        exec(block, dict(known))
    assert asked == [model] * 4
    for name in OURS:  # what was made of stand-ins is of no use to anybody else
        sys.modules.pop(name, None)


def test_the_example_of_a_test_runs(asked: list[Any], tmp_path: Path) -> None:
    (block,) = [b for b in pages.blocks(PAGE) if b.startswith("def test_")]
    known: dict[str, Any] = {}
    exec(block, known)
    noted: dict[str, object] = {}
    known["test_it_takes_no_shortcut"](pytest_plugin.assertion(tmp_path, noted.__setitem__))
    assert asked == ["ckpt.pt"] and noted["melaudit-gate"] == "pass"


def test_the_examples_of_yaml_name_what_there_is() -> None:
    blocks = [b for b in pages.blocks(PAGE) if b.startswith(("jobs:", "audit:", "repos:"))]
    github, gitlab, hooks = (yaml.safe_load(block) for block in blocks)
    (step,) = [s for s in github["jobs"]["audit"]["steps"] if "melaudit" in s["uses"]]
    assert set(step["with"]) <= set(ACTION["inputs"])
    required = {name for name, given in ACTION["inputs"].items() if given.get("required")}
    assert required <= set(step["with"])
    assert gitlab["audit"]["extends"] in GITLAB
    assert set(gitlab["audit"]["variables"]) <= set(GITLAB[".melaudit"]["variables"])
    assert [h["id"] for h in hooks["repos"][0]["hooks"]] == [h["id"] for h in HOOKS]
