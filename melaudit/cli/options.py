"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from melaudit.findings import Severity
from melaudit.reports.formats.registry import FORMATS

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Read a list of numbers like .5,.5,.5."""
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers like .5,.5,.5") from None


def names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Read a list of names like benign,malignant."""
    return tuple(part.strip() for part in value.split(",")) if value else None


def options(*each: Callable[[F], F]) -> Callable[[F], F]:
    """Join options into one decorator, shown in the order they are given."""

    def decorate(function: F) -> F:
        for option in reversed(each):
            function = option(function)
        return function

    return decorate


model_options = options(
    click.option("--model", type=PATH, help="The checkpoint: a file, or a timm folder."),
    click.option("--arch", help="Builder's name (resnet50, timm:NAME) if not inferred."),
    click.option("--factory", help="module:function or file.py:function. Runs your code."),
)
data_options = options(
    click.option("--data", type=PATH, help="Folder, folder with a folder per class, or table."),
    click.option("--classes", callback=names, help="Names in the order of the model's outputs."),
    click.option("--positive", help="The class that matters, for example malignant."),
    click.option("--image-root", type=PATH, help="Where a table's images are."),
    click.option("--image-column", help="The table's column of image names."),
    click.option("--label-column", help="The table's column of labels."),
    click.option("--limit", type=int, help="Audit a sample of so many images."),
)
knowledge_options = options(
    click.option("--lesion-masks", type=PATH, help="Folder of masks of the lesion, by image."),
    click.option("--artifact-labels", type=PATH, help="Table: image, and 0 or 1 per artifact."),
    click.option("--artifact-masks", type=PATH, help="Folder with a folder per artifact."),
    click.option("--train-data", type=PATH, help="The model's own training images."),
    click.option("--train-sample", type=int, help="How many of them to look at (default: 2000)."),
)
picture_options = options(
    click.option("--image-size", type=int, help="Side of the model's input, in pixels."),
    click.option("--crop", type=int, help="Side of your own centre crop, if you crop."),
    click.option("--mean", callback=numbers, help="Per channel, on 0 to 1: a,b,c."),
    click.option("--std", callback=numbers, help="Per channel, on 0 to 1: a,b,c."),
    click.option("--preprocess", help="auto, weights, weights:ENUM, imagenet or FILE.json."),
)
relevance_options = options(
    click.option(
        "--engine",
        type=click.Choice(["auto", "dataflow", "zennit", "gradient_x_input", "occlusion"]),
        help="What makes the maps; auto falls back where it fails on the model.",
    ),
    click.option("--composite", help="Rules: epsilon_plus_flat, epsilon_plus, ..."),
    click.option("--canonizer", help="auto, none, or a canonizer's name (engine zennit)."),
    click.option("--layer", help="The layer whose channels are the concepts."),
)
run_options = options(
    click.option("--out", type=PATH, help="Output folder (default: audit)."),
    click.option("--device", help="auto, cpu, cuda, cuda:1, ..."),
    click.option("--seed", type=int, help="Of every random choice (default: 0)."),
    click.option("--workers", type=int, help="Processes that decode images (default: 1)."),
    click.option("--batch-size", type=int, help="Images at a time (default: 16)."),
    click.option("--probes", type=int, help="Images for the expensive checks (default: 16)."),
    click.option("--edits", type=int, help="Images of each class to edit (default: 40; 0: none)."),
    click.option("--labels", type=PATH, help="A suspicious.csv with what you saw filled in."),
    click.option(
        "--fail-on",
        type=click.Choice([s.value for s in Severity]),
        help="Fail from here on (default: high).",
    ),
    click.option("--max-skipped", type=float, help="Share that may be unreadable (default: .01)."),
    click.option(
        "--assets",
        type=click.Choice(["inline", "split"]),
        help="The report as one file (default), or with a folder assets beside it.",
    ),
)
gate_options = options(
    click.option("--policy", type=PATH, help="TOML: severity, rung, coverage, waivers, ..."),
    click.option("--baseline", type=PATH, help="Earlier findings.json: fail on what is new only."),
)


def format_options(function: F) -> F:
    """Add an option for each output format that can be asked for.

    The command gets them as one argument, `files`: format -> the file to write it to.
    """
    formats = [f for f in FORMATS if f.on_request]

    @functools.wraps(function)
    def command(*arguments: Any, **given: Any) -> Any:
        asked = {f: given.pop(f.id.replace("-", "_")) for f in formats}
        files = {f: path for f, path in asked.items() if path is not None}
        return function(*arguments, files=files, **given)

    each = [click.option(f"--{f.id}", type=PATH, help=f"Write here: {f.about}.") for f in formats]
    return options(*each)(cast(F, command))


sharing_options = options(
    click.option("--no-images", is_flag=True, help="A report without photographs, for sharing."),
    click.option("--blur", is_flag=True, help="A report with blurred photographs, for sharing."),
)
