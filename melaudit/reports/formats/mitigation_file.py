"""mitigation.json, beside the findings.json of an audit: what was done about its findings.

It is a file of its own, so that findings.json stays what the audit said. Reading an audit's folder
reads it too, as far as it is about the same model and images.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from melaudit.errors import StoreError
from melaudit.findings import Findings, Mitigated
from melaudit.findings.plain import plain, rebuild
from melaudit.publish import publish
from melaudit.regular_file import read_regular

NAME = "mitigation.json"
VERSION = "1.0"
MAX_BYTES = 2**24
"""Chosen: a round figure; one mitigation takes 10 kB."""


def to_mitigation_json(mitigations: Sequence[Mitigated]) -> str:
    """Return the text of the file: the same mitigations give the same bytes."""
    content = {"schema_version": VERSION, "mitigations": [plain(each) for each in mitigations]}
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"


def add_mitigation(folder: Path, made: Mitigated) -> tuple[Mitigated, ...]:
    """Write a mitigation into an audit's folder, and return all that are there now.

    It takes the place of one of the same finding by the same method. Raises StoreError when the
    file cannot be read or written.
    """
    others = [
        each
        for each in read_mitigations(folder)
        if (each.finding, each.method) != (made.finding, made.method)
    ]
    every = (*others, made)
    publish(folder / NAME, to_mitigation_json(every).encode("ascii"))
    return every


def read_mitigations(folder: Path) -> tuple[Mitigated, ...]:
    """Return the mitigations in a folder; none where there is no such file.

    Raises StoreError for a file that is broken or of another version.
    """
    path = folder / NAME
    try:
        data = json.loads(read_regular(path, MAX_BYTES, folder))
        if data["schema_version"].split(".")[0] != VERSION.split(".")[0]:
            raise ValueError(f"version {data['schema_version']}, expected {VERSION}")
        return tuple(rebuild(Mitigated, each) for each in data["mitigations"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{path} is no mitigation.json of this melaudit ({str(error)[:300]}); remove it, or "
            "run the mitigation again with the melaudit that wrote it"
        ) from error


def with_mitigations(findings: Findings, folder: Path) -> Findings:
    """Return findings with what was done about them, as far as it is about the same audit."""
    known = findings.provenance
    own = {"model_sha256": known.model_sha256, "data_fingerprint": known.data_fingerprint}
    ids = {finding.id for finding in findings.findings}
    made = tuple(
        each
        for each in read_mitigations(folder)
        if each.finding in ids and all(getattr(each, name) == own[name] for name in own)
    )
    return dataclasses.replace(findings, mitigations=made) if made else findings
