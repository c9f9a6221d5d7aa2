"""Commands on finished audits: draw a report again, compare, gate, write files for the record.

And `policy`, which checks what a gate holds them against.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from melaudit.choices import Sharing
from melaudit.cli.options import PATH, format_options, gate_options, sharing_options
from melaudit.cli.verdicts import EXIT, Gate, findings_of, open_page, sharing, write
from melaudit.errors import MelauditError, StoreError
from melaudit.publish import make_folder
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.registry import FORMATS
from melaudit.terminal import Terminal, printable
from melaudit.wording.sentences import many


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--out", type=PATH, help="HTML file (default: in DIR, named for what it shows).")
@click.option("--csv", type=PATH, help="Write the affected images as a CSV file here.")
@click.option("--open", "show", is_flag=True, help="Open it in a browser.")
@sharing_options
def report(
    folder: Path, out: Path | None, csv: Path | None, show: bool, no_images: bool, blur: bool
) -> None:
    """Draw the report of the output folder DIR again, for sharing without its images.

    Every figure stays. The model and the images are not needed.
    """
    from melaudit.publish import publish
    from melaudit.reports import read_record, shared, to_csv, write_report

    mode = sharing(no_images, blur) or Sharing.FULL
    record = read_record(folder)
    name = "report.html" if mode is Sharing.FULL else f"report-{mode.value}.html"
    place = out or folder / name
    with Terminal() as terminal:
        try:
            write_report(shared(record, mode), place)
        except MelauditError:
            raise
        except Exception as error:  # a record may be anybody's, and say what none of ours says
            raise StoreError(
                f"the record in {folder} cannot be drawn ({type(error).__name__}: "
                f"{str(error)[:200]}); run the audit again or use the melaudit that wrote it"
            ) from error
        terminal.note(f"Report: {place}")
        if csv is not None:
            publish(csv, to_csv(record.findings).encode("utf-8"))
            terminal.note(f"Affected images: {csv}")
    if show:
        open_page(place)


@click.command()
@click.argument("before", metavar="A", type=PATH)
@click.argument("after", metavar="B", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON to stdout.")
@click.option("--html", type=PATH, help="Write the comparison as a page of HTML here.")
def diff(before: Path, after: Path, as_json: bool, html: Path | None) -> None:
    """Say what differs between the audits A and B (output folders or findings.json), and how much.

    Findings are new, fixed, no longer found, worse, better or unchanged; each change has its 95 %
    interval. The first line says what became of the worst finding. Accuracy on the same images is
    compared image by image, where both folders have their images.parquet.
    """
    from melaudit.publish import publish
    from melaudit.reports import compare, comparison_plain, comparison_text, render_comparison
    from melaudit.reports.comparison.answers import paired_answers

    first, second = findings_of(before), findings_of(after)
    right = paired_answers(first, second, (before, after))
    comparison = compare(first, second, right)
    if html is not None:
        publish(html, render_comparison(first, second, right).encode("utf-8"))
    if as_json:
        click.echo(json.dumps(comparison_plain(comparison), indent=2, allow_nan=False))
    else:
        click.echo(comparison_text(comparison))


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
@gate_options
@format_options
@click.option("--json", "as_json", is_flag=True, help="Print the rules as JSON to stdout.")
@click.pass_context
def gate(
    context: click.Context,
    /,
    folder: Path,
    policy: Path | None,
    baseline: Path | None,
    files: Mapping[Format, Path],
    as_json: bool,
) -> None:
    """Hold the audit in DIR against a policy: 0 pass, 1 fail, 3 inconclusive.

    Without --policy, findings from high on fail.
    """
    held = Gate.open(policy, baseline)
    findings = findings_of(folder)
    result = held.judge(findings)
    write(files, findings, result)
    if as_json:
        plain = {
            "outcome": result.outcome.value,
            "rules": [dataclasses.asdict(rule) for rule in result.rules],
            "waived": [
                {"finding": identity, "owner": w.owner, "until": str(w.expires)}
                for identity, w in result.waived
            ],
            "known": list(result.known),
            "notes": list(result.notes),
        }
        click.echo(json.dumps(plain, indent=2))
    else:
        held.tell(result, err=False)
    context.exit(EXIT[result.outcome])


@click.command()
@click.argument("files", metavar="POLICY...", type=PATH, nargs=-1, required=True)
@click.pass_context
def policy(context: click.Context, /, files: tuple[Path, ...]) -> None:
    """Check policies before they are used: 0 in order, 1 a waiver has expired, 2 not valid.

    No audit is needed.
    """
    from melaudit.policy import read_policy

    today = datetime.datetime.now(datetime.UTC).date()
    expired = 0
    for path, read in [(path, read_policy(path)) for path in files]:
        over = [waiver for waiver in read.waivers if waiver.expired(today)]
        expired += len(over)
        for waiver in over:
            said = f"the waiver of {waiver.finding} by {waiver.owner} expired on {waiver.expires}"
            click.echo(printable(f"{path}: {said}; mend the model or renew it"), err=True)
        if not over:
            click.echo(printable(f"{path}: in order, with {many(len(read.waivers), 'waiver')}"))
    context.exit(EXIT["fail"] if expired else 0)


ON_RECORD = tuple(f for f in FORMATS if f.for_record)
RECORD_HELP = f"""\
Write files for the record of the audit in DIR: what a team has to keep and hand in.

{"; ".join(f"{f.file}: {f.about}" for f in ON_RECORD)}.
"""


@click.command(help=RECORD_HELP)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--out", type=PATH, help="Folder to write into (default: DIR).")
@click.option("--policy", type=PATH, help="Policy whose waivers the annex names.")
def record(folder: Path, out: Path | None, policy: Path | None) -> None:
    """Write an audit in every format for the record."""
    findings = findings_of(folder)
    result = Gate.open(policy, None).judge(findings)
    place = out or (folder if folder.is_dir() else folder.parent)
    make_folder(place)
    with Terminal() as terminal:
        for form in ON_RECORD:
            path = place / form.file
            write({form: path}, findings, result)
            terminal.note(f"Written: {shlex.quote(str(path))}")
