"""The output folder of a run: held by one run at a time, and written at its end."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from melaudit.audit.conclude.outcome import Outcome
from melaudit.audit.exhibits.images_parquet import write_images
from melaudit.audit.groups.feedback import FILE as SUSPICIOUS
from melaudit.audit.groups.feedback import write_suspicious
from melaudit.audit.measure.store import Store
from melaudit.audit.prepare.preparation import Prepared
from melaudit.choices import Assets
from melaudit.errors import StoreError
from melaudit.publish import publish
from melaudit.reports import read_findings, write_findings, write_record, write_report
from melaudit.reports.formats import record_file
from melaudit.reports.interface import Record
from melaudit.reports.labels import LabelAudit, to_html, to_json


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold the output folder for one run; a second one is told so instead of mixing in.

    Raises StoreError for a folder that cannot be used or is held already.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise StoreError(f"the output folder {out} cannot be used: {error.strerror}") from error
    with lock:
        try:
            # Imported here: Windows has none, and there nobody guards the folder.
            with contextlib.suppress(ImportError):
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                f"another run writes to {out}; wait for it or choose another --out"
            ) from error
        yield


def write(
    out: Path, assets: Assets, record: Record, result: Outcome, prepared: Prepared, store: Store
) -> None:
    """Write report, record, findings, images and suspicious groups, and a manifest of them.

    Raises StoreError when the folder cannot be written.
    """
    write_images(out / "images.parquet", result, prepared, store)
    write_findings(record.findings, out / "findings.json")
    claimed = record.findings.findings
    write_suspicious(out / SUSPICIOUS, result.clusters, result.measurements, claimed)
    # The page is drawn from the file, so that it can be drawn again from it to the byte.
    record = dataclasses.replace(record, findings=read_findings(out / "findings.json"))
    report = write_report(record, out / "report.html", assets=assets)
    write_record(record, out / record_file.NAME)
    names = (
        *(path.relative_to(out).as_posix() for path in report),
        *("findings.json", "images.parquet", record_file.NAME),
    )
    manifest = {
        "run": store.run_id,
        "shards": f"shards/{store.folder.name}",
        "files": {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names},
    }
    publish(out / "manifest.json", json.dumps(manifest, indent=2).encode() + b"\n")


def write_index(out: Path, audits: Sequence[LabelAudit]) -> None:
    """Write the index of the audits of a multi-label model, as a page and as JSON.

    Raises StoreError when the folder cannot be written.
    """
    publish(out / "labels.json", to_json(audits).encode())
    publish(out / "report.html", to_html(audits).encode())


def folders_of(labels: Sequence[str]) -> Mapping[str, str]:
    """Return label -> the name of its folder: letters, digits, dashes; no two alike."""
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for place, label in enumerate(labels):
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", label).strip("-")[:_MAX_NAME] or "label"
        name = plain if plain.casefold() not in taken else f"{plain}-{place}"
        taken.add(name.casefold())
        folders[label] = name
    return folders


_MAX_NAME = 60
"""Characters of a folder's name. Chosen: a round figure well below what file systems take."""
