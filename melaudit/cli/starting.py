"""The command that writes settings to begin with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from melaudit.audit.prepare.configuration import SETTINGS_NAME
from melaudit.cli.options import PATH
from melaudit.errors import ConfigurationError
from melaudit.publish import publish
from melaudit.terminal import Terminal, printable

_MAX_SHOWN = 12
"""Files that are named where several could be meant. Chosen: what fits a terminal."""


@click.command()
@click.argument("folder", type=PATH, default=Path())
@click.option("--model", type=PATH, help="The checkpoint.  [default: the one in FOLDER]")
@click.option("--data", type=PATH, help="The images.  [default: those in FOLDER]")
@click.option("--force", is_flag=True, help="Replace a melaudit.toml that is there.")
def init(folder: Path, model: Path | None, data: Path | None, force: bool) -> None:
    """Write a melaudit.toml for the checkpoint and the images in FOLDER, with comments.

    What FOLDER (the working folder unless it is given) shows is set, and what must be that of your
    own pipeline stands there as comments. A folder with a folder for each class is taken before a
    table, a table before loose images, and images for training last. Where several files could be
    meant alike, it asks on a terminal, and elsewhere names them.
    """
    from melaudit.audit.prepare.first_look import require
    from melaudit.audit.prepare.starter import image_root_of, look_around, settings_text

    require(folder, "a folder with a checkpoint and images")
    place = folder / SETTINGS_NAME
    if place.exists() and not force:
        raise ConfigurationError(f"{place} is there already; --force replaces it")
    seen = look_around(folder)
    model = _chosen(model, seen.models, "--model", "a checkpoint")
    data = _chosen(data, seen.data[:1] if seen.clear else seen.data, "--data", "images")
    others = [path for path in seen.data if path not in (data, *seen.loose)][:_MAX_SHOWN]
    root = image_root_of(data, seen.loose)
    publish(place, settings_text(model, data, folder, root, others).encode())
    with Terminal() as terminal:
        terminal.note(f"Written: {place}, for {model} and {data}")
        if others:
            terminal.note(f"Also here: {', '.join(map(str, others))}; --data names what to audit")
        terminal.note("Look at it, then:  melaudit doctor, and  melaudit run")


def _chosen(given: Path | None, found: Sequence[Path], option: str, what: str) -> Path:
    """Return the one that is given, or the only one found, or the one that the user chooses."""
    from melaudit.audit.prepare.first_look import require

    if given is not None:
        require(given, what)
        return given
    if not found:
        raise ConfigurationError(f"nothing here could be {what}; add {option} PATH")
    if len(found) == 1:
        return found[0]
    listed = [printable(str(path)) for path in found[:_MAX_SHOWN]]
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"several things here could be {what}: {', '.join(listed)}; add {option} PATH"
        )
    for number, name in enumerate(listed, start=1):
        click.echo(f"  {number}  {name}", err=True)
    kind = click.IntRange(1, len(listed))
    return found[click.prompt(f"Which one? ({option})", type=kind, default=1, err=True) - 1]
