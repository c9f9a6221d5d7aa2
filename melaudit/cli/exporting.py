"""Commands that write a finished audit for other tools."""

from __future__ import annotations

from pathlib import Path

import click

from melaudit.cli.options import PATH
from melaudit.terminal import Terminal


@click.group()
def export() -> None:
    """Write a finished audit in the format of another tool."""


@export.command()
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--data", type=PATH, help="The audited folder or table, to show its images.")
@click.option("--out", type=PATH, help="Folder to write to (default: DIR/virelay).")
def virelay(folder: Path, data: Path | None, out: Path | None) -> None:
    """Write the output folder DIR as a project of ViRelAy.

    Maps are the low-resolution ones that an audit keeps of every image; without --data, pictures
    are its tiny ones. Needs the extra `virelay`.
    """
    from melaudit.audit.exhibits.virelay import export_virelay

    with Terminal() as terminal:
        project = export_virelay(folder, out or folder / "virelay", data)
        terminal.note(f"Project: {project} (open it with: python -m virelay {project.name})")
