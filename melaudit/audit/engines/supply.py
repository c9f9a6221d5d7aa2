"""Which engine supplies the processes that a run asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from melaudit.audit.engines.interface import Engine
from melaudit.audit.engines.local import local
from melaudit.audit.engines.ray_cluster import cluster, joinable
from melaudit.audit.prepare.configuration import Configuration


def refuse_absent(configuration: Configuration) -> None:
    """Raise ConfigurationError for a cluster that cannot be used, before time is spent on a run."""
    if configuration.engine_address is not None:
        joinable(configuration.engine_address)


@contextlib.contextmanager
def engine(configuration: Configuration, device: str) -> Iterator[Engine]:
    """Have the workers that the configuration asks for; `device` is the kind that they compute on.

    Raises ConfigurationError for a cluster that cannot be used.
    """
    address, factory = configuration.engine_address, configuration.factory
    out, processes = configuration.out, configuration.processes
    if address is None:
        with local(out, processes, factory) as workers:
            yield workers
    else:
        with cluster(address, out, processes, device, factory) as workers:
            yield workers
