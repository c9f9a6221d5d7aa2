"""The command that looks at images alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from melaudit.cli.options import PATH, names
from melaudit.terminal import Terminal, printable


@click.command()
@click.argument("data", type=PATH)
@click.option("--classes", callback=names, help="Names of the classes, in your order.")
@click.option("--image-root", type=PATH, help="Where a table's images are.")
@click.option("--image-column", help="The table's column of image names.")
@click.option("--label-column", help="The table's column of labels.")
@click.option("--limit", type=int, help="Scan a sample of so many images.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--rule", "rules", multiple=True, help="Also a plain rule by name: corners.")
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Processes that decode images.",
)
@click.option("--csv", "csv_file", type=PATH, help="Write the counts to this CSV file.")
@click.option("--html", "html_file", type=PATH, help="Write one page of HTML to this file.")
@click.option("--json", "json_file", type=PATH, help="Write everything to this JSON file.")
def scan(
    data: Path,
    rules: tuple[str, ...],
    workers: int,
    csv_file: Path | None,
    html_file: Path | None,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Look for artifacts in the images of DATA (a folder or table) and the classes they go with.

    No model is asked. The table goes to stdout, progress to stderr.
    """
    from melaudit.audit.scan import scan as scan_images
    from melaudit.images.dataset import open_dataset
    from melaudit.publish import publish
    from melaudit.reports.scan import to_csv, to_html, to_json, to_text

    with Terminal() as terminal:
        dataset = open_dataset(data, **options)
        terminal.note(f"data: {dataset.describe()}")
        for note in dataset.notes:
            terminal.note(f"note: {note}")
        found = scan_images(dataset, terminal, workers=workers, rules=rules)
    for file, write in ((csv_file, to_csv), (html_file, to_html), (json_file, to_json)):
        if file is not None:
            publish(file, write(found).encode("utf-8", "backslashreplace"))
    click.echo(printable(to_text(found)))
