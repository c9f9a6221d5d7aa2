"""The command that writes a package to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from melaudit.cli.options import PATH
from melaudit.plugins.package import Kind, plugin, write
from melaudit.terminal import Terminal


@click.command()
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("name")
@click.option("--out", type=PATH, help="Folder to make (default: melaudit-NAME).")
def new(kind: str, name: str, out: Path | None) -> None:
    """Write an installable package with a detector, an artifact or a domain of your own.

    It works as it is and has a test; NAME becomes the id of what it adds.
    """
    plugin(Kind(kind), name)  # before the lists of what there is, which take seconds to load
    from melaudit.artifacts.registry import artifacts
    from melaudit.detectors.registry import detectors
    from melaudit.domains.registry import AUTO, domains

    taken = {AUTO, *(d.id for d in detectors()), *(a.id for a in artifacts())}
    taken |= {d.id for d in domains()}
    made = plugin(Kind(kind), name, taken)
    folder = out or Path(made.project)
    write(made, folder)
    with Terminal() as terminal:
        terminal.note(f"Written: {folder}, which adds the {kind} {name} where it is installed")
        terminal.note(f"Look at it, then:  pip install -e {shlex.quote(str(folder))}")
