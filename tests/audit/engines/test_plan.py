"""The plan: what a process needs to join a run, and why it may not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from melaudit.audit.engines.plan import FOLDER, Part, Plan, awaited, in_force
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.provenance import code_fingerprint, versions
from melaudit.choices import OutputKind
from melaudit.errors import ConfigurationError, StoreError
from melaudit.findings import Severity


def configuration(out: Path, **more: object) -> Configuration:
    return Configuration(Path("net.pt"), Path("data"), out, **more)  # type: ignore[arg-type]


def plan_of(settings: Configuration, **more: object) -> Plan:
    parts = (Part("", "", "model", "images", ""),)
    made = Plan("a1", settings, "cpu", parts, code_fingerprint(), versions())
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def test_a_plan_comes_back_as_it_was_with_whole_paths(tmp_path: Path) -> None:
    settings = configuration(
        tmp_path,
        classes=("benign", "malignant, sort of"),
        class_map={"mel": "malignant", "*": "benign"},
        mean=(0.1, 0.2, 0.3),
        std=(1.0, 1.0, 1.0),
        outputs=OutputKind.LOGITS,
        fail_on=Severity.MEDIUM,
        threshold=0.3,
        detectors={"watermark": {"limit": 0.5}},
        artifact_labels=Path("labels.csv"),
    )
    plan = plan_of(settings)
    plan.write(tmp_path, bytes(64))
    back = Plan.read(tmp_path)
    assert back is not None
    assert back.configuration.model == Path("net.pt").absolute()
    assert back.configuration.artifact_labels == Path("labels.csv").absolute()
    names = ("model", "data", "out", "artifact_labels")
    paths = {name: getattr(settings, name).absolute() for name in names}
    expected = dataclasses.replace(settings, **paths)
    assert back == dataclasses.replace(plan, configuration=expected)


def test_a_plan_is_in_force_until_the_run_is_finished(tmp_path: Path) -> None:
    plan = plan_of(configuration(tmp_path))
    with pytest.raises(KeyboardInterrupt), in_force(plan, tmp_path, b""):
        raise KeyboardInterrupt
    assert Plan.read(tmp_path) is not None  # workers go on
    with in_force(plan, tmp_path, b""):
        assert awaited(tmp_path, 0).run == "a1"
    assert not (tmp_path / FOLDER).exists()


def test_a_run_is_finished_when_its_plan_is_gone_and_not_its_folder(tmp_path: Path) -> None:
    plan, later = plan_of(configuration(tmp_path)), plan_of(configuration(tmp_path), run="b2")
    with in_force(plan, tmp_path, b""):
        assert not plan.finished(tmp_path)
    assert plan.finished(tmp_path)
    later.write(tmp_path, b"")
    assert plan.finished(tmp_path)
    (tmp_path / FOLDER / "plan.json").write_text("{", "utf-8")
    assert not plan.finished(tmp_path)
    assert not plan.finished(tmp_path / "storage that is gone")


def test_a_worker_without_a_plan_says_what_may_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no plan .*does not share.*melaudit run with this --out"):
        awaited(tmp_path, 0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "run": 3'])
def test_a_damaged_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "plan.json").write_text(text)
    with pytest.raises(StoreError, match="plan of"):
        Plan.read(tmp_path)


def test_other_versions_are_refused_by_name(tmp_path: Path) -> None:
    plan = plan_of(configuration(tmp_path))
    plan.refuse_other_versions()
    other = dataclasses.replace(plan, versions={**plan.versions, "torch": "1.0"})
    with pytest.raises(ConfigurationError, match=r"torch 1\.0 computes it, and here is \d"):
        other.refuse_other_versions()
    with pytest.raises(ConfigurationError, match="melaudit's code"):
        dataclasses.replace(plan, code="0" * 64).refuse_other_versions()


def test_code_runs_only_where_the_worker_was_told_to(tmp_path: Path) -> None:
    plan = plan_of(configuration(tmp_path, factory="net.py:build"))
    with pytest.raises(ConfigurationError, match=r"--factory net\.py:build"):
        plan.here(tmp_path, None)
    with pytest.raises(ConfigurationError, match=r"--factory net\.py:build"):
        plan.here(tmp_path, "other.py:build")
    here = plan.here(tmp_path / "mounted", "net.py:build")
    assert (here.out, here.device) == (tmp_path / "mounted", "cpu")


def test_the_rank_chooses_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    plan = plan_of(configuration(tmp_path), device="cuda")
    for rank, device in (("", "cuda"), ("0", "cuda:0"), ("6", "cuda:2"), ("many", "cuda")):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert plan.here(tmp_path, None).device == device


def test_the_plan_runs_nothing_and_holds_no_pickle(tmp_path: Path) -> None:
    plan_of(configuration(tmp_path)).write(tmp_path, bytes(32))
    for path in (tmp_path / FOLDER).iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text())
        else:
            assert path.read_bytes() == bytes(32)
