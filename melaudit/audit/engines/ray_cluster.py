"""Workers on the nodes of a Ray cluster: an actor for each device, which runs `melaudit worker`.

Ray says where there is room, starts an actor again elsewhere when its node is lost, and hears of
the run only how its workers ended: model, images and results go through the shared folder.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melaudit.audit.engines.interface import LOST, REFUSED, Ended, command
from melaudit.errors import ConfigurationError

_CONNECT = 5.0
"""Seconds within which a cluster must take a connection. Chosen: a round figure, not measured."""
_JOIN = 60.0
"""Seconds within which a cluster that takes connections must let this process join: its nodes may
still be starting, or busy. Chosen: twice what Ray gives a node to start."""
_PAUSE = 1.0
"""Seconds between two tries to join. Chosen: a round figure, not measured."""
_REFUSED = "AuthenticationError"
"""What Ray's account of a failure holds where the token was not accepted."""
_GONE = ("ActorUnavailableError", "NodeDiedError", "WorkerCrashedError")
"""What Ray raises for a worker whose node is lost, where it does not begin it again."""
_TRIES = 3
"""Times that a worker is begun again elsewhere, beyond the first, when its node is lost."""
_CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - Ray's own, and only read
"""Where `ray start` leaves the address of the cluster that this machine belongs to."""
_TOKEN = "RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN"  # noqa: S105 - it is none


_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "3",  # tries to join, a second each; 20 by default
}


@dataclass
class Cluster:
    """Workers on a Ray cluster."""

    ray: Any
    tasks: dict[Any, tuple[str, Any]]
    """What Ray gave for each worker -> its name, and its actor."""
    count: int
    computes_here = False
    """The device of this process may be one that Ray has given to a worker."""

    def ended(self) -> Sequence[Ended]:
        """Return the workers that ended since the last call."""
        if not self.tasks:
            return ()
        over, _ = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)
        return [self._result(task) for task in over]

    def _result(self, task: Any) -> Ended:
        name, actor = self.tasks.pop(task)
        try:
            host, code, said = self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            gone = tuple(getattr(self.ray.exceptions, each) for each in _GONE)
            if isinstance(error, gone):
                return Ended(name, LOST, f"Ray lost it ({lines[0].strip()})")
            return Ended(name, REFUSED, lines[-1].strip())
        finally:
            # An actor holds its device while it lives. One of a lost node may wait for it.
            self.ray.kill(actor)
        return Ended(f"{name} (on {host})", code, said)


@contextlib.contextmanager
def cluster(
    address: str, out: Path, processes: int, device: str, factory: str | None
) -> Iterator[Cluster]:
    """Have workers of the Ray cluster at `address` compute the run in `out`.

    As many as there are GPUs, or processors for a run on processors; one less than `processes` if
    that is more than 1. Raises ConfigurationError where Ray is not installed, nothing answers, or
    the cluster would run code for anybody.
    """
    ray = joinable(address)
    _connect(ray, address)
    try:
        resource = "GPU" if device == "cuda" else "CPU"
        there = int(ray.cluster_resources().get(resource, 0))
        count = processes - 1 if processes > 1 else there
        if not there:
            raise ConfigurationError(
                f"the Ray cluster at {address} has no {resource} for a run on {device}; start "
                "nodes with one, or choose another --device"
            )
        supplier = ray.remote(
            num_cpus=1,
            num_gpus=int(device == "cuda"),
            max_restarts=-1,
            max_task_retries=_TRIES,
        )(_supplier())
        actors = [supplier.remote() for _ in range(count)]
        order = command(out, factory)[1:], str(Path.cwd())
        tasks = {
            actor.work.remote(*order): (f"worker {k}", actor) for k, actor in enumerate(actors, 1)
        }
        yield Cluster(ray, tasks, count)
        for _, actor in tasks.values():
            ray.kill(actor)
    finally:
        ray.shutdown()


def _supplier() -> type:
    # Made here, Ray sends its code: a node without melaudit can start it and say what is missing.
    class Supplier:
        """Runs a worker on a node; what it starts ends when it does."""

        def work(self, arguments: list[str], folder: str) -> tuple[str, int, str]:
            """Return the node's name, the worker's exit code and its last line."""
            import pathlib
            import platform
            import subprocess
            import sys

            process = subprocess.Popen(  # noqa: S603 - our own command, as a list
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder if pathlib.Path(folder).is_dir() else None,
            )
            said = ""
            for line in process.stdout or ():
                said = line.decode("utf-8", "replace").strip() or said
            return platform.node(), process.wait(), said

    return Supplier


def joinable(address: str) -> Any:
    """Return Ray, if there is a cluster at an address and its nodes obey not everybody.

    Raises ConfigurationError otherwise, within seconds.
    """
    ray = _ray()
    _refuse_open_or_absent(address)
    return ray


def _ray() -> Any:
    for name, value in _QUIET.items():  # read when Ray is imported
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(
            f"--engine-address needs Ray, which cannot be imported ({error}): "
            "pip install 'melaudit[ray]'"
        ) from error
    return ray


def _refuse_open_or_absent(address: str) -> None:
    """Raise ConfigurationError for an address where nothing answers, or anybody would be obeyed."""
    place = _place(address)
    if place is None:
        raise ConfigurationError(
            f"--engine-address {address}: no Ray cluster runs on this machine; start one with "
            "ray start, or name ray://HOST:PORT"
        )
    host, port = place
    try:
        with socket.create_connection((host, port), _CONNECT) as connection:
            loopback = ipaddress.ip_address(connection.getpeername()[0]).is_loopback
    except OSError as error:
        raise ConfigurationError(
            f"--engine-address {address}: nothing answers at {host}:{port} "
            f"({error.strerror or error}); start the cluster, or mend the address"
        ) from error
    if not loopback and os.environ.get("RAY_AUTH_MODE") != "token":
        raise ConfigurationError(
            f"--engine-address {address}: Ray runs code for whoever reaches {host}, so a cluster "
            f"there is used with a token only: set {_TOKEN} for every node and for this command"
        )


def _place(address: str) -> tuple[str, int] | None:
    """Return host and port of an address; None for auto where no cluster is known here."""
    if address == "auto":
        with contextlib.suppress(OSError):
            address = os.environ.get("RAY_ADDRESS") or _CURRENT.read_text("utf-8").strip()
        if address == "auto":
            return None
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 2**16):
        raise ConfigurationError(
            f"--engine-address is {address!r}; expected auto, HOST:PORT or ray://HOST:PORT"
        )
    return host.strip("[]"), int(port)


def _connect(ray: Any, address: str) -> None:
    """Join a cluster, which may still be starting or be busy."""
    stopping = signal.getsignal(signal.SIGTERM)
    end = time.monotonic() + _JOIN
    while (error := _failure(ray, address)) is not None:
        refused = _REFUSED in _account(error)
        if refused or time.monotonic() >= end:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            remedy = f"set {_TOKEN} here as on its nodes"
            if not refused:
                remedy = (
                    f"it was tried for {_JOIN:.0f} s. Look whether its nodes are up (ray status), "
                    f"and run the same command again. If the cluster asks for a token, {remedy}"
                )
            raise ConfigurationError(
                f"--engine-address {address}: Ray cannot join ({first}); {remedy}"
            ) from error
        time.sleep(_PAUSE)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stopping)  # Ray puts one there that prints a stack


def _failure(ray: Any, address: str) -> Exception | None:
    """Try to join a cluster, and return why it failed; None where it did not."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # Ray raises many kinds, and its own are no common one
        return error
    return None


def _account(error: BaseException | None) -> str:
    """Return the types and messages of an error and of its causes, a line for each."""
    told = []
    while error is not None:
        told += [type(error).__name__, str(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(told)
