"""Trackers hear of an audit only when they are imported and have a run."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from melaudit.trackers import figures, log
from tests.test_gate import AUDIT


class Mlflow(ModuleType):
    """A stand-in that remembers what it was told."""

    def __init__(self, running: bool) -> None:
        super().__init__("mlflow")
        self.running = running
        self.told: dict[str, Any] = {}

    def active_run(self) -> object | None:
        return object() if self.running else None

    def log_metrics(self, metrics: dict[str, float]) -> None:
        self.told["metrics"] = metrics

    def set_tags(self, tags: dict[str, str]) -> None:
        self.told["tags"] = tags

    def log_artifact(self, path: str, folder: str) -> None:
        self.told.setdefault("files", []).append(Path(path).name)


def test_nothing_is_imported_and_nobody_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mlflow", "wandb"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert log(AUDIT) == ()
    assert not {"mlflow", "wandb"} & set(sys.modules)


def test_mlflow_gets_figures_tags_and_files_of_its_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text("x")
    mlflow = Mlflow(running=True)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    assert log(AUDIT, tmp_path) == ("mlflow",)
    assert mlflow.told["metrics"] == figures(AUDIT)
    assert mlflow.told["tags"]["melaudit.verdict"] == "fail"
    assert mlflow.told["files"] == ["report.html"]


def test_a_tracker_without_a_run_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = Mlflow(running=False)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=None))
    assert log(AUDIT) == () and mlflow.told == {}


def test_wandb_gets_figures_and_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    summary: dict[str, str] = {}
    logged: list[dict[str, float]] = []
    wandb = SimpleNamespace(run=SimpleNamespace(summary=summary), log=logged.append)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    assert log(AUDIT) == ("wandb",)
    assert logged == [figures(AUDIT)]
    assert summary["melaudit.verdict"] == "fail"


def test_figures_are_finite_numbers_with_a_name_of_ours() -> None:
    told = figures(AUDIT)
    assert told["melaudit/accuracy"] == 0.9
    assert told["melaudit/findings_high"] == 1.0
    assert all(name.startswith("melaudit/") for name in told)
