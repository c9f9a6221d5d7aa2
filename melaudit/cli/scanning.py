"""The command that looks at images alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from melaudit.cli.options import PATH, GroupedCommand, output_option, setting_options
from melaudit.terminal import Terminal, printable


@click.command(cls=GroupedCommand)
@click.argument("data", type=PATH)
@setting_options(
    "classes", "class_map", "image_root", "image_column", "label_column", "limit", "domain"
)
@setting_options("white", "seed", "workers")
@output_option(
    "--rule",
    "rules",
    heading="What is looked for",
    multiple=True,
    help="Also a plain rule by name: corners.",
)
@output_option(
    "--keep",
    type=PATH,
    heading="Many images",
    help="Keep here what is seen of every 512 images. The same command goes on where it stopped; "
    "several, on machines that share the folder, divide the images.",
)
@output_option("--csv", "csv_file", type=PATH, help="Write the counts to this CSV file.")
@output_option("--html", "html_file", type=PATH, help="Write one page of HTML to this file.")
@output_option("--no-images", is_flag=True, help="That page without images, for sharing.")
@output_option("--json", "json_file", type=PATH, help="Write everything to this JSON file.")
def scan(
    data: Path,
    rules: tuple[str, ...],
    csv_file: Path | None,
    html_file: Path | None,
    no_images: bool,
    json_file: Path | None,
    keep: Path | None,
    **options: Any,
) -> None:
    """Look for artifacts in the images of DATA and the classes they go with.

    DATA is a folder, a table, a tar or HDF5 file, or an address (https://, s3://, gs://).

    No model is asked. The table goes to stdout, progress to stderr.
    """
    import functools

    from melaudit.audit.prepare.configuration import with_defaults
    from melaudit.audit.prepare.domain_choice import choose_domain
    from melaudit.audit.prepare.reader import reading
    from melaudit.audit.scan import scan as scan_images
    from melaudit.images.dataset import open_dataset
    from melaudit.images.grey_depth import white_of
    from melaudit.publish import publish
    from melaudit.reports.scan import to_csv, to_html, to_json, to_text

    settings = with_defaults(options)
    workers, named, given = (settings.pop(name) for name in ("workers", "domain", "white"))
    pictures = html_file is not None and not no_images
    with Terminal() as terminal:
        dataset = open_dataset(data, **settings)
        terminal.note(f"data: {dataset.describe()}")
        for note in dataset.notes:
            terminal.note(f"note: {note}")
        with reading(workers) as read:
            white, said = white_of(dataset.paths, read, given)
            domain = choose_domain(named, dataset.paths, functools.partial(read, white=white))
        for note in said:
            terminal.note(f"note: {note}")
        terminal.note(f"domain: {domain.domain.title}. {domain.why}")
        found = scan_images(
            dataset,
            terminal,
            domain=domain,
            workers=workers,
            rules=rules,
            pictures=pictures,
            white=white,
            keep=keep,
        )
    for file, write in ((csv_file, to_csv), (html_file, to_html), (json_file, to_json)):
        if file is not None:
            publish(file, write(found).encode("utf-8", "backslashreplace"))
    click.echo(printable(to_text(found)))
