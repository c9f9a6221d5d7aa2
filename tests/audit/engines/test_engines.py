"""Engines: who ended and why is told in one line, and what cannot be used is refused in one."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from melaudit.audit.engines import local as locals_
from melaudit.audit.engines import ray_cluster
from melaudit.audit.engines.interface import REFUSED, Ended, Watch, command
from melaudit.audit.engines.local import local
from melaudit.audit.engines.plan import FOLDER
from melaudit.audit.engines.ray_cluster import cluster
from melaudit.errors import ConfigurationError


class Notes:
    """An observer that remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None: ...

    def advance(self, images: int, computed: bool = True) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Made:
    """An engine whose workers end as the test says."""

    over: list[Ended]
    count: int = 2
    computes_here: bool = True
    asked: int = field(default=0)

    def ended(self) -> Sequence[Ended]:
        found, self.over = self.over, []
        return found


def test_a_worker_that_is_killed_is_told_of_and_the_others_go_on() -> None:
    notes = Notes()
    assert Watch(Made([Ended("process 2", -9, "Measuring")]), notes)()
    assert notes.notes == ["process 2 ended: it was killed by signal 9. The others go on."]


def test_a_run_that_no_worker_can_join_ends_with_the_reason() -> None:
    refused = [Ended(f"worker {k}", REFUSED, "melaudit: torch is another one.") for k in (1, 2)]
    watch = Watch(Made(refused[:1], computes_here=False), Notes())
    assert not watch()  # one is left
    watch = Watch(Made(refused, computes_here=False), Notes())
    with pytest.raises(ConfigurationError, match=r"no worker .* worker 1 ended: torch is another"):
        watch()


def test_where_a_cluster_computes_the_process_takes_over_when_all_workers_are_gone() -> None:
    engine = Made([Ended("worker 1", 0, "")], computes_here=False)
    watch = Watch(engine, Notes())
    assert not watch()
    engine.over = [Ended("worker 2", -9, "")]
    assert watch()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


def test_local_workers_have_a_rank_and_end_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that only say their rank, and then wait for their input to be closed."""
    said = "import os, sys; print(os.environ['LOCAL_RANK'], flush=True); sys.stdin.read()"
    monkeypatch.setattr(locals_, "command", lambda out, factory: [sys.executable, "-c", said])
    (tmp_path / FOLDER).mkdir()
    with local(tmp_path, 3, None) as engine:
        logs = [tmp_path / FOLDER / f"worker-{k}.log" for k in (1, 2)]
        wait_for(lambda: all(log.read_bytes() for log in logs))
        assert [log.read_text() for log in logs] == ["1\n", "2\n"]
        pids = [process.pid for process, _ in engine.workers.values()]
        assert engine.ended() == [] and engine.count == 2
        os.kill(pids[0], 9)
        wait_for(lambda: engine.workers["process 2"][0].poll() is not None)
        assert engine.ended() == [Ended("process 2", -9, "1")]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_worker_is_told_the_folder_and_what_code_it_may_run() -> None:
    arguments = command(Path("out"), "net.py:build")
    assert arguments[1:5] == ["-m", "melaudit", "worker", str(Path("out").absolute())]
    assert arguments[-2:] == ["--factory", "net.py:build"]
    assert "--factory" not in command(Path("out"), None)


def joined(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is said of an address; Ray itself is not asked."""
    monkeypatch.setattr(ray_cluster, "_ray", lambda: None)
    with pytest.raises(ConfigurationError) as refused, cluster(address, Path(), 1, "cpu", None):
        pass
    return str(refused.value)


def test_an_address_that_answers_nothing_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, and nobody listens
        said = joined(f"ray://127.0.0.1:{port}", monkeypatch)
    assert f"nothing answers at 127.0.0.1:{port}" in said


@pytest.mark.parametrize("address", ["cluster", "ray://", "host:port", "host:99999"])
def test_what_is_no_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "expected auto, HOST:PORT or ray://HOST:PORT" in joined(address, monkeypatch)


def test_auto_without_a_cluster_says_what_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_cluster, "_CURRENT", tmp_path / "none")
    assert "no Ray cluster runs on this machine" in joined("auto", monkeypatch)


def test_a_cluster_that_others_reach_is_used_with_a_token_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Far:
        def __enter__(self) -> Far:
            return self

        def __exit__(self, *_: object) -> None: ...

        def getpeername(self) -> tuple[str, int]:
            return "192.0.2.7", 6379

    monkeypatch.setattr(socket, "create_connection", lambda *_: Far())
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    said = joined("node:6379", monkeypatch)
    assert "RAY_AUTH_MODE=token" in said and "RAY_AUTH_TOKEN" in said


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ConfigurationError, match=r"pip install 'melaudit\[ray\]'"),
        cluster("auto", Path(), 1, "cpu", None),
    ):
        pass
