"""The command line: parses, calls one function, prints, returns a code.

Exit codes: 0 pass (or warn), 1 findings at or above --fail-on, 2 could not run, 3 inconclusive,
4 internal error, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from melaudit.errors import MelauditError
from melaudit.findings import Findings, Severity, Verdict
from melaudit.terminal import Terminal, printable

if TYPE_CHECKING:
    from melaudit.audit.configuration import Configuration

EXIT = {Verdict.PASS: 0, Verdict.WARN: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
INTERNAL, INTERRUPTED = 4, 130

_STYLE = {
    Verdict.PASS: "bold green",
    Verdict.WARN: "bold yellow",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold magenta",
}

F = TypeVar("F", bound=Callable[..., Any])


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers like .5,.5,.5") from None


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in value.split(",")) if value else None


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_PATH = click.Path(path_type=Path)

model_options = _options(
    click.option("--model", type=_PATH, help="The checkpoint: a file, or a timm folder."),
    click.option("--arch", help="Builder's name (resnet50, timm:NAME) if not inferred."),
    click.option("--factory", help="module:function or file.py:function. Runs your code."),
)
data_options = _options(
    click.option("--data", type=_PATH, help="Folder, folder with a folder per class, or table."),
    click.option("--classes", callback=_names, help="Names in the order of the model's outputs."),
    click.option("--positive", help="The class that matters, for example malignant."),
    click.option("--image-root", type=_PATH, help="Where a table's images are."),
    click.option("--image-column", help="The table's column of image names."),
    click.option("--label-column", help="The table's column of labels."),
    click.option("--limit", type=int, help="Audit a sample of so many images."),
)
picture_options = _options(
    click.option("--image-size", type=int, help="Side of the model's input, in pixels."),
    click.option("--crop", type=int, help="Side of your own centre crop, if you crop."),
    click.option("--mean", callback=_numbers, help="Per channel, on 0 to 1: a,b,c."),
    click.option("--std", callback=_numbers, help="Per channel, on 0 to 1: a,b,c."),
    click.option("--preprocess", help="auto, weights, weights:ENUM, imagenet or FILE.json."),
)
relevance_options = _options(
    click.option("--engine", type=click.Choice(["auto", "dataflow", "zennit"])),
    click.option("--composite", help="Rules: epsilon_plus_flat, epsilon_plus, ..."),
    click.option("--canonizer", help="auto, none, or a canonizer's name (engine zennit)."),
    click.option("--layer", help="The layer whose channels are the concepts."),
)
run_options = _options(
    click.option("--out", type=_PATH, help="Output folder (default: audit)."),
    click.option("--device", help="auto, cpu, cuda, cuda:1, ..."),
    click.option("--seed", type=int, help="Of every random choice (default: 0)."),
    click.option("--workers", type=int, help="Processes that decode images (default: 1)."),
    click.option("--batch-size", type=int, help="Images at a time (default: 16)."),
    click.option("--probes", type=int, help="Images for the expensive checks (default: 16)."),
    click.option("--edits", type=int, help="Images of each class to edit (default: 40; 0: none)."),
    click.option(
        "--fail-on", type=click.Choice(list(Severity)), help="Fail from here on (default: high)."
    ),
    click.option("--max-skipped", type=float, help="Share that may be unreadable (default: .01)."),
    click.option(
        "--assets",
        type=click.Choice(["inline", "split"]),
        help="The report as one file (default), or with a folder assets beside it.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print findings.json to stdout."),
    click.option("--quiet", is_flag=True, help="Only the verdict."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="melaudit")
def cli() -> None:
    """Audit an image classifier before deployment: does it decide for the wrong reasons?

    Exit codes: 0 pass, 1 findings, 2 could not run, 3 inconclusive, 4 internal error,
    130 interrupted (the same command goes on where it stopped).
    """


@cli.command()
@model_options
@data_options
@picture_options
@relevance_options
@run_options
@click.pass_context
def run(context: click.Context, /, as_json: bool, quiet: bool, **options: Any) -> None:
    """Audit a model on a folder of images and write an HTML report.

    With melaudit.toml (or [tool.melaudit] in pyproject.toml) beside the checkpoint or in the
    working folder, --model alone is enough.
    """
    from melaudit.audit.configuration import configure

    configuration = configure(options)
    findings = _audit(configuration, quiet)
    if as_json:
        click.echo(json.dumps(findings.to_dict(), indent=2, ensure_ascii=True))
    context.exit(EXIT[findings.verdict])


@cli.command()
@click.option("--out", type=_PATH, default=Path("demo"), show_default=True, help="Folder to make.")
@click.option("--quick", is_flag=True, help="A smaller set and a shorter training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of images and training.")
@click.pass_context
def demo(context: click.Context, /, out: Path, quick: bool, seed: int) -> None:
    """Make a dermoscopy-like set with a planted ring, train a model on it, and audit the model.

    Succeeds (0) when the audit finds the planted ring.
    """
    from melaudit.audit.configuration import configure
    from melaudit.demo import build_demo

    with Terminal() as terminal:
        made = build_demo(out, quick=quick, seed=seed, progress=terminal.note)
    findings = _audit(configure({"model": made.checkpoint}), quiet=False)
    found = findings.verdict is Verdict.FAIL and findings.findings[0].artifact == "dark_ring"
    with Terminal() as terminal:
        terminal.print(
            "The planted ring was found."
            if found
            else "The planted ring was NOT found; please report this.",
        )
        terminal.print(f"Audit it again:  melaudit run --model {shlex.quote(str(made.checkpoint))}")
    context.exit(0 if found else INTERNAL)


@cli.command()
@model_options
@data_options
@picture_options
@relevance_options
@click.option("--device", help="auto, cpu, cuda, cuda:1, ...")
@click.option("--probes", type=int, help="Images for the expensive checks (default: 16).")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON to stdout.")
def doctor(as_json: bool, **options: Any) -> None:
    """Say what a model is, check its maps on a few images, and predict the cost of an audit."""
    from melaudit.audit.configuration import configure
    from melaudit.audit.doctor import described, examine

    configuration = configure(options)
    with Terminal(quiet=as_json) as terminal:
        found = examine(configuration, terminal)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=True))
        return
    for line in described(found):
        click.echo(printable(line))


@cli.command()
@click.argument("image", type=_PATH)
@model_options
@picture_options
@relevance_options
@click.option("--classes", callback=_names, help="Names in the order of the model's outputs.")
@click.option("--target", help="Class to explain, by name or index (default: the predicted one).")
@click.option("--channels", type=click.IntRange(1, 64), default=6, show_default=True)
@click.option("--device", help="auto, cpu, cuda, cuda:1, ...")
@click.option("--out", type=_PATH, help="PNG to write (default: IMAGE-explained.png here).")
def explain(
    image: Path, target: str | None, channels: int, out: Path | None, **options: Any
) -> None:
    """Show one image beside its LRP map and the maps of its strongest channels (CRP), as a PNG."""
    from melaudit.audit.configuration import configure
    from melaudit.audit.explanation import explain_image
    from melaudit.publish import publish

    configuration = configure({"data": image.parent, **options})
    place = out or Path(f"{image.stem}-explained.png")
    with Terminal() as terminal:
        png, notes = explain_image(configuration, image, target=target, channels=channels)
        for note in notes:
            terminal.note(note)
        publish(place, png)
        terminal.note(f"Picture: {place}")


@cli.command()
@click.argument("file", type=_PATH)
@click.argument("out", type=_PATH)
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
    from melaudit.audit.convert import convert as convert_file
    from melaudit.errors import CheckpointError

    if not i_trust_this_file:
        raise CheckpointError(
            f"{file} may run code when it is opened; if you trust where it comes from, add "
            "--i-trust-this-file"
        )
    with Terminal() as terminal:
        for message in convert_file(file, out):
            terminal.note(message)
        terminal.note(f"now:  melaudit run --model {shlex.quote(str(out))}")


@cli.command()
def detectors() -> None:
    """List the detectors, ours and those that other packages registered."""
    from melaudit.detectors.registry import detectors as all_detectors

    for detector in all_detectors():
        kind = "checks the maps" if detector.checks_explanations else "audits the model"
        click.echo(f"{detector.id:<22} {kind:<17} {detector.title}")


def _audit(configuration: Configuration, quiet: bool) -> Findings:
    """Run an audit under a progress bar and print its summary to stderr."""
    from melaudit.audit.runner import run as run_audit
    from melaudit.reports import summary

    # A report must be safe to share: it names the command without the machine's folders.
    command = " ".join(shlex.quote(_shareable(part)) for part in sys.argv[1:])
    with Terminal(quiet=quiet) as terminal:
        findings = run_audit(configuration, terminal, command=f"melaudit {command}")
    terminal = Terminal()
    terminal.print(f"\n{findings.verdict.upper()}", style=_STYLE[findings.verdict])
    terminal.print(summary(findings))
    terminal.print(f"Report: {configuration.out / 'report.html'}")
    return findings


def _shareable(argument: str) -> str:
    option, equals, value = argument.partition("=")
    text = value if equals else option
    short = Path(text).name if os.sep in text else text
    return f"{option}={short}" if equals else short


def _terminated(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; the only place where errors are caught."""
    signal.signal(signal.SIGTERM, _terminated)  # a batch system's stop is an interruption too
    try:
        code = cli.main(arguments, prog_name="melaudit", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except MelauditError as error:
        click.echo(f"melaudit: {printable(str(error))}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("melaudit: interrupted; the same command goes on where it stopped", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone
        sys.stdout = None
        return 0
    except Exception as error:
        if os.environ.get("MELAUDIT_TRACEBACK"):
            raise
        click.echo(
            f"melaudit: internal error: {printable(f'{type(error).__name__}: {error}')}\n"
            "This is a fault of melaudit. MELAUDIT_TRACEBACK=1 shows where; please report it.",
            err=True,
        )
        return INTERNAL
