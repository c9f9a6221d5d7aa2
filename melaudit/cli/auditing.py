"""Commands that audit: `run`, and `demo`, which makes something to audit first."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melaudit.cli.options import (
    PATH,
    GroupedCommand,
    format_options,
    gate_options,
    output_option,
    setting_options,
    sharing_options,
)
from melaudit.cli.verdicts import EXIT, INTERNAL, Gate, open_page, sharing, tell, write
from melaudit.findings import Verdict
from melaudit.observer import Timing
from melaudit.settings import Topic, settings_of
from melaudit.terminal import Terminal, printable

if TYPE_CHECKING:
    from melaudit.audit.prepare.configuration import Configuration
    from melaudit.reports.formats.interface import Format
    from melaudit.reports.labels import LabelAudit
    from melaudit.stopwatch import Stopwatch

PROFILE = "profile.speedscope.json"
"""The file of where the time went, in the output folder."""


@click.command(cls=GroupedCommand)
@setting_options(*Topic)
@sharing_options
@gate_options
@format_options
@output_option("--json", "as_json", is_flag=True, help="Print findings.json to stdout.")
@output_option("--quiet", is_flag=True, help="Only the verdict.")
@output_option(
    "--profile",
    is_flag=True,
    help=f"Print where the time went, and write {PROFILE} into --out, for speedscope.",
)
@output_option("--open", "show", is_flag=True, help="Open the report in a browser at the end.")
@output_option(
    "--budget",
    heading=Topic.DATA.value,
    metavar="TIME",
    help="Instead of --limit: as many images as fit in 90s, 10m or 1h30m on this machine.",
)
@output_option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done and how long it would take; write nothing.",
)
@click.pass_context
def run(
    context: click.Context,
    /,
    policy: Path | None,
    baseline: Path | None,
    files: Mapping[Format, Path],
    no_images: bool,
    blur: bool,
    as_json: bool,
    quiet: bool,
    profile: bool,
    show: bool,
    budget: str | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Audit a model on a folder of images and write an HTML report.

    A multi-label model is audited label by label, each with a report in a folder of its own, and
    the report in --out is their index. With melaudit.toml (or [tool.melaudit] in pyproject.toml)
    beside the checkpoint or in the working folder, --model alone is enough. With --policy or
    --baseline the exit code is that of the gate.
    """
    from melaudit.audit.prepare.configuration import configure
    from melaudit.audit.prepare.first_look import first_look

    configuration = configure({**options, "sharing": sharing(no_images, blur)})
    first_look(configuration)
    # Read before the audit: a mistake in the policy should not cost an hour.
    gate = Gate.open(policy, baseline, configuration.fail_on)
    if dry_run:
        _plan(configuration)
        return
    if budget is not None:
        configuration = _within(configuration, budget, quiet)
    of_one = () if baseline is None else ("--baseline",)
    with _profiling(configuration.out) if profile else nullcontext() as watch:
        audits = _audit(configuration, quiet, of_one, watch)
    if show:
        open_page(configuration.out / "report.html")
    from melaudit.reports.labels import to_json, worst

    if len(audits) > 1 and as_json:
        click.echo(to_json(audits), nl=False)
    elif as_json:
        click.echo(json.dumps(audits[0].findings.to_dict(), indent=2, ensure_ascii=True))
    results = [gate.judge(audit.findings) for audit in audits]
    for audit, result in zip(audits, results, strict=True):
        write(_beside(files, audit.folder), audit.findings, result)
    if policy is None and baseline is None:
        context.exit(EXIT[worst(audits)])
    for audit, result in zip(audits, results, strict=True):
        if audit.label:
            click.echo(printable(f"Label {audit.label}"), err=True)
        gate.tell(result, quiet=quiet)
    codes = {EXIT[result.outcome] for result in results}
    context.exit(next(code for code in (EXIT["fail"], EXIT["inconclusive"], 0) if code in codes))


def _within(configuration: Configuration, budget: str, quiet: bool) -> Configuration:
    """Return the settings with as many images as fit in a time."""
    from melaudit.audit.budget import within

    with Terminal(quiet=quiet) as terminal:
        return within(configuration, budget, terminal)


def _plan(configuration: Configuration) -> None:
    """Print what an audit would do, from a look at the model and a rehearsal."""
    from melaudit.audit.doctor import described, examine

    with Terminal() as terminal:
        found = examine(configuration, terminal)
    for line in described(found):
        click.echo(printable(line))
    begun = (configuration.out / "shards").is_dir()
    state = "is there: what is finished and still fits is taken from it" if begun else "is new"
    click.echo(printable(f"output folder  {configuration.out}, which {state}"))


def _beside(files: Mapping[Format, Path], folder: str) -> dict[Format, Path]:
    """Return the files of one label: the name of its folder stands in theirs."""
    if not folder:
        return dict(files)
    return {form: path.with_stem(f"{path.stem}-{folder}") for form, path in files.items()}


@click.command()
@click.argument("folder", metavar="RUN", type=PATH)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    help="Seconds to wait for the run to begin.",
)
@click.option("--factory", help="Allow a run that builds its model with this code to do so.")
@click.option(
    "--until-stdin-closes",
    "attended",
    is_flag=True,
    hidden=True,
    help="End when whoever started this process is gone.",
)
def worker(folder: Path, wait: float, factory: str | None, attended: bool) -> None:
    """Compute a part of the run whose output folder is RUN, beside other processes.

    Start any number, on any machine that shares the folder, the images and the checkpoint under the
    same paths: with torchrun, Slurm, Kubernetes or by hand. `melaudit run` plans the run and
    concludes it. A worker takes what nobody computes and ends when nothing is left; it may be
    killed at any time. LOCAL_RANK chooses the GPU.
    """
    from melaudit.audit.worker import work

    if attended:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    with Terminal() as terminal:
        work(folder, terminal, factory=factory, wait=wait)


def _end_with_stdin() -> None:
    """End this process when whoever started it is gone."""
    while os.read(0, 1):  # not through sys.stdin, whose lock would be held when Python ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


@click.command()
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Folder to make.")
@click.option("--quick", is_flag=True, help="A smaller set and a shorter training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of images and training.")
@click.pass_context
def demo(context: click.Context, /, out: Path, quick: bool, seed: int) -> None:
    """Make a dermoscopy-like set with a planted ring, train a model on it, and audit the model.

    Succeeds (0) when the audit finds the planted ring.
    """
    from melaudit.audit.prepare.configuration import configure
    from melaudit.demo import build_demo

    with Terminal() as terminal:
        made = build_demo(out, quick=quick, seed=seed, progress=terminal.note)
    (audit,) = _audit(configure({"model": made.checkpoint}), quiet=False)
    findings = audit.findings
    found = findings.verdict is Verdict.FAIL and findings.findings[0].artifact == "dark_ring"
    with Terminal() as terminal:
        terminal.print(
            "The planted ring was found."
            if found
            else "The planted ring was NOT found; please report this.",
        )
        terminal.print(f"Audit it again:  melaudit run --model {shlex.quote(str(made.checkpoint))}")
    context.exit(0 if found else INTERNAL)


@contextmanager
def _profiling(out: Path) -> Iterator[Stopwatch]:
    """Give a stopwatch, and tell at the end where the time went."""
    from melaudit.publish import publish
    from melaudit.stopwatch import Stopwatch, running, speedscope, table

    watch = Stopwatch()
    watch.begin("Starting")
    with running(watch):
        yield watch
    publish(out / PROFILE, json.dumps(speedscope(watch.marks, "melaudit run")).encode())
    terminal = Terminal()
    terminal.print("\nWhere the time went: processor seconds, images shown to the model")
    terminal.table(("part", "seconds", "share", "shown"), table(watch.marks))
    terminal.print(f"Profile: {out / PROFILE}")


def _audit(
    configuration: Configuration,
    quiet: bool,
    of_one: Sequence[str] = (),
    watch: Stopwatch | None = None,
) -> tuple[LabelAudit, ...]:
    """Run an audit under a progress bar and print its summary to stderr.

    There is one for each label of a multi-label model, and one for any other model. `of_one` are
    options that were given and belong to one audit.
    """
    from melaudit.audit.runner import run_each
    from melaudit.reports.labels import headline

    # A report must be safe to share: it names the command without the machine's folders.
    telling = _telling(sys.argv[1:], configuration.limit)
    command = " ".join(shlex.quote(_shareable(part)) for part in telling)
    with Terminal(quiet=quiet) as terminal:
        observer = terminal if watch is None else Timing(terminal, watch)
        audits = run_each(configuration, observer, command=f"melaudit {command}", of_one=of_one)
    for audit in audits:
        if audit.label:
            Terminal().print(f"\nLabel: {audit.label}")
        tell(audit.findings, configuration.out / audit.folder / "report.html", quiet=quiet)
    if len(audits) > 1:
        Terminal().print(f"\n{headline(audits)}")
        Terminal().print(f"Report: {configuration.out / 'report.html'}")
    return audits


def _telling(arguments: Sequence[str], limit: int | None) -> Iterator[str]:
    """Yield the arguments without those that say who computes, which changes no result.

    For a budget stands the number of images that it came to: another machine has another one.
    """
    from melaudit.audit.prepare.configuration import Configuration

    quiet = {
        f"--{name.replace('_', '-')}"
        for name, setting in settings_of(Configuration).items()
        if not setting.about.recorded
    }
    left = iter(arguments)
    for argument in left:
        option, equals, _ = argument.partition("=")
        if option == "--budget":
            if not equals:
                next(left, None)
            yield from () if limit is None else ("--limit", str(limit))
        elif option not in quiet:
            yield argument
        elif not equals:
            next(left, None)


def _shareable(argument: str) -> str:
    option, equals, value = argument.partition("=")
    text = value if equals else option
    short = Path(text).name if os.sep in text else text
    return f"{option}={short}" if equals else short
