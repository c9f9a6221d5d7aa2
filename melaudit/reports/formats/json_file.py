"""findings.json, from which every other output is made, and its JSON Schema."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from melaudit.errors import StoreError
from melaudit.findings import MAX_NUMBER, Findings
from melaudit.publish import publish
from melaudit.regular_file import read_regular
from melaudit.reports.formats.interface import Format
from melaudit.reports.formats.mitigation_file import with_mitigations

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

NAME = "findings.json"
MAX_BYTES = 64 * 2**20
"""Chosen: a round figure; the file of an audit of 1,000 images has 0.3 MB."""
_MAX_DIGITS = 20
"""Of a whole number: seeds of 64 bits have as many."""
_OF_VERSIONS = ("required", "additionalProperties")
"""Rules of the schema that the file of another melaudit of the same version may break."""


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


def read_findings(place: Path) -> Findings:
    """Read a findings.json back, or that of an output folder.

    What is read is held against the schema, because whoever wrote the file may be anybody. In a
    folder, a link that leads out of it is not followed. Raises StoreError when the file is missing,
    no findings.json, or of another schema version.

    What was done about findings afterwards, in a mitigation.json beside it, comes with them.
    """
    within = place if place.is_dir() else None
    path = place if within is None else place / NAME
    try:
        findings = parse_findings(read_regular(path, MAX_BYTES, within))
    except OSError as error:
        folders = sorted(found.parent for found in place.glob(f"*/{NAME}")) if within else []
        made = (
            f"it holds the audits of several labels, so name one: {', '.join(map(str, folders))}"
            if folders
            else "name a folder that `melaudit run` made"
        )
        raise StoreError(f"cannot read {path}: {error.strerror or error}; {made}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{path} is no findings.json of this melaudit ({str(error)[:300]}); "
            "run the audit again or use the melaudit that wrote it"
        ) from error
    return with_mitigations(findings, path.parent)


def parse_findings(content: bytes) -> Findings:
    """Return the findings that the bytes of a findings.json hold.

    Raises ValueError, KeyError, TypeError, AttributeError or RecursionError for anything else.
    """
    data = parse_json(content)
    if not isinstance(data, dict):
        raise ValueError(f"it holds a {type(data).__name__}; expected an object")
    findings = Findings.from_dict(data)  # first: it says which version the file has
    # What a file has too much is passed over, and what it lacks has a default or was just missed.
    wrong = [e for e in _validator().iter_errors(data) if e.validator not in _OF_VERSIONS]
    if wrong:
        from jsonschema.exceptions import best_match

        first = best_match(wrong)
        raise ValueError(f"{first.json_path}: {first.message}")
    return findings


def parse_json(content: bytes) -> Any:
    """Return what JSON holds, with numbers that can be reckoned with.

    Raises ValueError for broken JSON, NaN, infinities and numbers beyond all measure, and
    RecursionError for brackets nested thousands deep.
    """
    return json.loads(
        content.decode("utf-8"),
        parse_float=_bounded,
        parse_int=_bounded_integer,
        parse_constant=_refused,
    )


def _bounded(text: str) -> float:
    value = float(text)
    if not abs(value) <= MAX_NUMBER:
        _refused(text)
    return value


def _bounded_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        _refused(text)
    return int(text)


def _refused(text: str) -> NoReturn:
    raise ValueError(
        f"it holds the number {text[:30]}; expected finite ones, up to {MAX_NUMBER:g}, and whole "
        f"ones of at most {_MAX_DIGITS} digits"
    )


@cache
def _validator() -> Draft202012Validator:
    # Imported here: help texts name every format, and most commands read no findings.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


JSON = Format(
    id="json",
    file="findings.json",
    about="findings.json, from which every other output is made",
    render=lambda findings, _: to_json(findings),
    on_request=False,
)
