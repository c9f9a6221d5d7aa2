"""Commands that look at a model, an image or a file without a full audit."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melaudit.cli.options import PATH, GroupedCommand, output_option, setting_options
from melaudit.findings import Subject
from melaudit.settings import Topic
from melaudit.terminal import Terminal, printable

if TYPE_CHECKING:
    from melaudit.detectors.interface import Detector


@click.command(cls=GroupedCommand)
@setting_options(Topic.MODEL, Topic.DATA, Topic.PREPROCESSING, Topic.RELEVANCE)
@setting_options("edits", "corruption_images", "device", "workers", "batch_size")
@output_option("--json", "as_json", is_flag=True, help="Print everything as JSON to stdout.")
def doctor(as_json: bool, **options: Any) -> None:
    """Say what a model is, check its maps on a few images, and predict the cost of an audit."""
    from melaudit.audit.prepare.configuration import configure
    from melaudit.audit.prepare.first_look import first_look

    configuration = configure(options)
    first_look(configuration)
    # After what can be told without torch, which takes seconds to import.
    from melaudit.audit.doctor import described, examine

    with Terminal(quiet=as_json) as terminal:
        found = examine(configuration, terminal)
    if as_json:
        plain = dataclasses.asdict(found) | {"seconds": found.seconds}
        click.echo(json.dumps(plain, indent=2, ensure_ascii=True))
        return
    for line in described(found):
        click.echo(printable(line))


@click.command(cls=GroupedCommand)
@click.argument("image", type=PATH)
@setting_options(Topic.MODEL, "classes", Topic.PREPROCESSING)
@setting_options("engine", "composite", "canonizer", "layer", "device")
@output_option(
    "--target",
    heading="What is shown",
    metavar="NAME",
    help="Class to explain, by name or index.  [default: the predicted one]",
)
@output_option(
    "--channels",
    heading="What is shown",
    type=click.IntRange(1, 64),
    default=6,
    show_default=True,
    help="How many channels are shown.",
)
@output_option(
    "--outside-disk",
    heading="What is shown",
    type=float,
    metavar="RADIUS",
    help="Show the channels that look outside a centred disk; the radius is a share of half the "
    "shorter side, such as 0.78.",
)
@output_option(
    "--inside-disk",
    heading="What is shown",
    type=float,
    metavar="RADIUS",
    help="The same for inside.",
)
@output_option("--out", type=PATH, help="PNG to write.  [default: IMAGE-explained.png here]")
def explain(
    image: Path,
    target: str | None,
    channels: int,
    outside_disk: float | None,
    inside_disk: float | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Show one image beside its LRP map and the maps of its strongest channels (CRP), as a PNG."""
    from melaudit.audit.prepare.configuration import configure
    from melaudit.audit.prepare.first_look import first_look, require
    from melaudit.publish import publish

    if outside_disk is not None and inside_disk is not None:
        raise click.UsageError("give --outside-disk or --inside-disk, not both")
    configuration = configure({"data": image.parent, **options})
    require(image, "an image")
    first_look(configuration)
    # After what can be told without torch, which takes seconds to import.
    from melaudit.audit.exhibits.channels import Place
    from melaudit.audit.explanation import explain_image

    where = None if outside_disk is None else Place("outside", outside_disk)
    where = where if inside_disk is None else Place("inside", inside_disk)
    place = out or Path(f"{image.stem}-explained.png")
    with Terminal() as terminal:
        png, notes = explain_image(
            configuration, image, target=target, channels=channels, place=where
        )
        for note in notes:
            terminal.note(note)
        publish(place, png)
        terminal.note(f"Picture: {place}")


@click.command(cls=GroupedCommand)
@setting_options(Topic.MODEL, Topic.DATA, Topic.PREPROCESSING)
@setting_options("engine", "composite", "canonizer", "device", "workers")
@output_option(
    "--each",
    heading="What is shown",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="How many images of each outcome are shown.",
)
@output_option("--out", type=PATH, help="PNG to write.  [default: MODEL-outcomes.png here]")
def outcomes(each: int, out: Path | None, **options: Any) -> None:
    """Show true and false positives and negatives beside their LRP maps, as a PNG.

    Of each outcome the images of which the model is surest. What is positive: --positive.
    """
    from melaudit.audit.prepare.configuration import configure
    from melaudit.audit.prepare.first_look import first_look
    from melaudit.publish import publish

    configuration = configure(options)
    first_look(configuration)
    # After what can be told without torch, which takes seconds to import.
    from melaudit.audit.outcomes import explain_outcomes

    place = out or Path(f"{configuration.model.stem}-outcomes.png")
    with Terminal() as terminal:
        png, notes = explain_outcomes(configuration, each)
        for note in notes:
            terminal.note(note)
        publish(place, png)
        terminal.note(f"Picture: {place}")


@click.command()
@click.argument("file", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--i-trust-this-file",
    is_flag=True,
    help="Opening FILE may run code that is stored in it.",
)
def convert(file: Path, out: Path, i_trust_this_file: bool) -> None:
    """Write the weights of FILE (a pickle with foreign objects, TorchScript) as safetensors.

    Foreign classes in a pickle become inert stand-ins, so nothing of them runs; TorchScript and
    .pt2 go through torch's own loaders, which can run what is stored in them. That is why the
    command wants --i-trust-this-file.
    """
    from melaudit.errors import CheckpointError
    from melaudit.models.convert import convert as convert_file

    if not i_trust_this_file:
        raise CheckpointError(
            f"{file} may run code when it is opened; if you trust where it comes from, add "
            "--i-trust-this-file"
        )
    with Terminal() as terminal:
        for message in convert_file(file, out):
            terminal.note(message)
        terminal.note(f"now:  melaudit run --model {shlex.quote(str(out))}")


@click.command()
@click.option("--domain", metavar="NAME", help="Only those of this domain.  [default: all]")
def detectors(domain: str | None) -> None:
    """List the detectors, ours and those that other packages registered, and where they apply."""
    from melaudit.audit.prepare.configuration import detector_settings
    from melaudit.detectors.registry import detectors as all_detectors
    from melaudit.domains.registry import domain as find_domain
    from melaudit.domains.registry import domains

    settings = detector_settings(Path.cwd())
    fields = domains() if domain is None else (find_domain(domain),)
    lists = [(field.id, all_detectors(settings, field)) for field in fields]
    listed: dict[str, tuple[Detector, list[str]]] = {}
    for field, found in lists:
        for detector in found:
            listed.setdefault(detector.id, (detector, []))[1].append(field)
    for detector, where in listed.values():
        does = _SUBJECTS[detector.subject]
        only = "" if len(where) == len(lists) else f"  ({', '.join(where)})"
        click.echo(f"{detector.id:<22} {does:<21} {detector.title}{only}")


_SUBJECTS = {
    Subject.EXPLANATIONS: "checks the maps",
    Subject.ARTIFACT: "looks for an artifact",
    Subject.MODEL: "audits the model",
}
