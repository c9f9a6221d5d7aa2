"""findings.json, from which every other output is made, and its JSON Schema."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from melaudit.errors import StoreError
from melaudit.findings import Findings
from melaudit.publish import publish
from melaudit.reports.formats.interface import Format


@cache
def _schema_text() -> str:
    return resources.files("melaudit").joinpath("findings.schema.json").read_text("utf-8")


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of findings.json."""
    loaded: dict[str, Any] = json.loads(_schema_text())
    return loaded


def to_json(findings: Findings) -> str:
    """Return findings as the text of findings.json: the same findings give the same bytes.

    Only ASCII is written: names may hold lone surrogates or characters that reorder a terminal.
    """
    return (
        json.dumps(findings.to_dict(), indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False)
        + "\n"
    )


def write_findings(findings: Findings, path: Path) -> None:
    """Write findings.json, whole or not at all.

    Raises StoreError when `path` cannot be written.
    """
    publish(path, to_json(findings).encode("ascii"))


def read_findings(path: Path) -> Findings:
    """Read a findings.json back.

    Raises StoreError when the file is missing, no findings.json, or of another schema version.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        return Findings.from_dict(data)
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror or error}; name a folder that `melaudit run` made"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is no findings.json of this melaudit ({type(error).__name__}: {error}); "
            "run the audit again or use the melaudit that wrote it"
        ) from error


JSON = Format(
    id="json",
    file="findings.json",
    about="findings.json, from which every other output is made",
    render=lambda findings, _: to_json(findings),
    on_request=False,
)
