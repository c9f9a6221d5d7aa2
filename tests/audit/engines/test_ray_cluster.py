"""What becomes of a run when Ray loses workers, or is not yet there. Ray is stood in for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from melaudit.audit.engines import ray_cluster
from melaudit.audit.engines.interface import Watch
from melaudit.audit.engines.ray_cluster import Cluster, cluster
from melaudit.errors import ConfigurationError
from tests.audit.engines.test_engines import Notes


class Actor:
    """Stands for an actor of Ray."""

    def __init__(self) -> None:
        self.work = self
        self.alive = True

    def remote(self, *_: object) -> Actor:
        return self


class Ray:
    """Stands for Ray: a cluster of one processor for each account of how a worker ended."""

    class exceptions:
        RayError = type("RayError", (Exception,), {})
        ActorUnavailableError = type("ActorUnavailableError", (RayError,), {})
        NodeDiedError = type("NodeDiedError", (RayError,), {})
        WorkerCrashedError = type("WorkerCrashedError", (RayError,), {})

    def __init__(self, *ends: object, failures: Sequence[Exception] = ()) -> None:
        self.actors = [Actor() for _ in ends]
        self.ends = dict(zip(self.actors, ends, strict=True))
        self.failures, self.tries = list(failures), 0

    def init(self, **_: object) -> None:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(len(self.actors))}

    def remote(self, **_: object) -> Any:
        unused = iter(self.actors)
        return lambda supplier: SimpleNamespace(remote=lambda: next(unused))

    def wait(self, tasks: list[Actor], **_: object) -> tuple[list[Actor], list[Actor]]:
        return [task for task in tasks if self.ends[task] is not None], []

    def get(self, task: Actor) -> object:
        end = self.ends[task]
        if isinstance(end, Exception):
            raise end
        return end

    def kill(self, actor: Actor) -> None:
        actor.alive = False

    def shutdown(self) -> None: ...


@contextlib.contextmanager
def stand_in(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Have the workers of a cluster that is none."""
    monkeypatch.setattr(ray_cluster, "joinable", lambda address: ray)
    monkeypatch.setattr(ray_cluster, "_PAUSE", 0.0)
    with cluster("here:1", Path(), 1, "cpu", None) as workers:
        yield workers


def test_a_run_goes_on_alone_when_ray_lost_all_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Ray.exceptions.ActorUnavailableError("The actor is unavailable.\nConnection refused")
    noted = Notes()
    with stand_in(Ray(lost, lost), monkeypatch) as workers:
        may_compute = Watch(workers, noted)
        assert may_compute()
    assert [note.count("Ray lost it (The actor is unavailable.)") for note in noted.notes] == [1, 1]


def test_workers_that_could_not_even_begin_on_ray_end_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = Ray.exceptions.RayError("Traceback\nFileNotFoundError: no such Python")
    with (
        stand_in(Ray(failed, failed), monkeypatch) as workers,
        pytest.raises(ConfigurationError, match=r"no worker could join.*no such Python"),
    ):
        Watch(workers, Notes())()


def test_a_worker_that_ended_holds_its_device_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Ray(("node", -9, ""), None)  # the second one waits for a processor
    with stand_in(ray, monkeypatch) as workers:
        assert [end.code for end in workers.ended()] == [-9]
        assert [actor.alive for actor in ray.actors] == [False, True]
    assert not any(actor.alive for actor in ray.actors)


def refusal() -> Exception:
    """Return what Ray raises for a wrong token: what it came from says so, and not it itself."""
    error = ConnectionError("Failed to connect to Ray cluster at here:1")
    error.__cause__ = RuntimeError("Last error: ray.exceptions.AuthenticationError: RPC error")
    return error


def test_a_cluster_that_is_still_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Ray(("node", 0, ""), failures=[ConnectionError("Failed to connect")] * 4)
    with stand_in(ray, monkeypatch) as workers:
        assert workers.count == 1
    assert ray.tries == 5


def test_a_cluster_that_refuses_the_token_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = Ray(("node", 0, ""), failures=[refusal()] * 4)
    with pytest.raises(ConfigurationError) as refused, stand_in(ray, monkeypatch):
        pass
    assert ray.tries == 1
    assert "set RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN" in str(refused.value)
    assert "ray status" not in str(refused.value)


def test_a_cluster_that_does_not_come_up_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_cluster, "_JOIN", 0.0)
    late = Exception("The current node timed out during startup.\nSee the logs.")
    ray = Ray(("node", 0, ""), failures=[late])
    with pytest.raises(ConfigurationError) as refused, stand_in(ray, monkeypatch):
        pass
    assert str(refused.value).count("\n") == 0
    assert "(The current node timed out during startup.)" in str(refused.value)
    assert "run the same command again" in str(refused.value)
