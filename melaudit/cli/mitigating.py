"""The command that does something about a finding."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from melaudit.cli.options import PATH, GroupedCommand, output_option, setting_options
from melaudit.errors import ConfigurationError
from melaudit.findings import Method, Outcome
from melaudit.terminal import Terminal

_HEADING, _NEXT = "Mitigation", "The next training"
_CODES = {Outcome.REDUCED: 0, Outcome.AT_A_COST: 1, Outcome.NOT_REDUCED: 1}


@click.command(cls=GroupedCommand)
@click.argument("folder", metavar="AUDIT", type=PATH)
@output_option(
    "--finding",
    heading=_HEADING,
    metavar="ID",
    help="The finding to mitigate.  [default: the worst that can be]",
)
@output_option(
    "--method",
    heading=_HEADING,
    type=click.Choice([method.value for method in Method]),
    default=Method.LAST_LAYER.value,
    show_default=True,
    help="How the last layer's weights are found; suppress and project are there to compare with.",
)
@output_option(
    "--tolerance",
    heading=_HEADING,
    type=click.FloatRange(0, 100),
    default=2.0,
    show_default=True,
    metavar="POINTS",
    help="How many points of a hundred any group may lose before the model is not called better.",
)
@setting_options("model", "factory", "data", "image_root")
@setting_options("object_masks", "artifact_labels", "artifact_masks", "device", "batch_size")
@setting_options("workers")
@output_option(
    "--export",
    "export_to",
    heading=_NEXT,
    type=PATH,
    metavar="DIR",
    help="Fit nothing; write into DIR sampling weights for the images of --train-data under which "
    "the artifact goes with no class, and the lines to add to a training script.",
)
@output_option(
    "--train-data",
    heading=_NEXT,
    type=PATH,
    help="Images that the next model is trained on, folder or table.",
)
@output_option("--out", type=PATH, help="New weights.  [default: mitigated.safetensors in AUDIT]")
@output_option("--json", "as_json", is_flag=True, help="Print the result as JSON to stdout.")
@click.pass_context
def mitigate(
    context: click.Context,
    /,
    folder: Path,
    finding: str | None,
    method: str,
    tolerance: float,
    export_to: Path | None,
    train_data: Path | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit a model's last layer anew against a finding of the audit in AUDIT, and prove what it did.

    The new weights fit the same architecture. Half of the images are for fitting; what came of it
    is measured on the other half, on every group and every other artifact, beside a placebo
    mitigation. The page is AUDIT/mitigation.html, and `melaudit record` fills in the risk control.
    Exit code 0: reduced, at no group's cost, or nothing to mitigate; 1: not so; 2: could not run.

    With --export nothing is fitted: what the next training needs is written, and neither the model
    nor the audited images are opened. --artifact-labels is then about the images of --train-data.
    """
    if (export_to is None) != (train_data is None):
        raise ConfigurationError(
            "--export DIR and --train-data IMAGES go together: weights are for the images that the "
            "next model is trained on; give both"
        )
    if export_to is not None and train_data is not None:
        labels, workers = options["artifact_labels"], options["workers"] or 0
        _export(folder, finding or "", train_data, export_to, workers, labels)
        return
    from melaudit.mitigation.command import mitigate_audit

    words = ["melaudit", *(shlex.quote(each) for each in sys.argv[1:])]
    with Terminal(quiet=as_json) as terminal:
        made = mitigate_audit(
            folder,
            finding,
            Method(method),
            tolerance / 100,
            out or folder / "mitigated.safetensors",
            {name: value for name, value in options.items() if value is not None},
            terminal,
            command=" ".join(words),
        )
        if made is None:
            terminal.note("Nothing to mitigate: the audit found no artifact that the model uses.")
            if as_json:
                click.echo("null")
            return
        terminal.print(f"\n{made.outcome.upper()}")
        terminal.print(made.statement)
        for note in made.notes:
            terminal.note(f"Note: {note}")
        terminal.note(f"New weights: {made.new_model}")
        terminal.note(f"Proof: {folder / 'mitigation.html'}")
    if as_json:
        from melaudit.findings.plain import plain

        click.echo(json.dumps(plain(made), indent=2, allow_nan=False))
    context.exit(_CODES[made.outcome])


def _export(
    folder: Path, finding: str, images: Path, out: Path, workers: int, labels: Path | None
) -> None:
    """Write what the next training needs, and say what to do with it."""
    from melaudit.mitigation.export import README, WEIGHTS, export_finding
    from melaudit.reports import read_findings

    with Terminal() as terminal:
        export_finding(read_findings(folder), finding, images, out, workers, terminal, labels)
        terminal.note(f"Sampling weights: {out / WEIGHTS}")
        terminal.note(f"Lines to add to the training script: {out / README}")
