"""Output folders that somebody else made, policies, and names that act."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from melaudit.cli import main
from melaudit.gate import judge
from melaudit.images.dataset import open_dataset
from melaudit.policy import Policy
from melaudit.reports import to_json, write_findings, write_record
from melaudit.reports.formats.json_file import parse_findings
from melaudit.reports.formats.registry import FORMATS
from tests.hostile.case import Case
from tests.reports.made_up_record import record

_ACTING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff]"
)
"""Characters that act on a terminal, turn text round, or are none; not the line ends of CSV."""
CODES = {0: "used", 1: "failed", 2: "refused", 3: "inconclusive", 4: "crashed"}


@cache
def good() -> tuple[bytes, bytes]:
    """Return the findings.json and the record.zip of an audit."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_findings(record().findings, Path(folder) / "findings.json")
        write_record(record(), Path(folder) / "record.zip")
        return (
            (Path(folder) / "findings.json").read_bytes(),
            (Path(folder) / "record.zip").read_bytes(),
        )


def ran(*arguments: str) -> str:
    """Run a command and return its exit code in a word."""
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        code = main(list(arguments))
    if "\x1b" in told.getvalue() or "\u202e" in told.getvalue():
        return "acted on the terminal"
    return CODES.get(code, str(code))


def given(command: str, change: Callable[[Path], None], folder: Path) -> str:
    """Give an output folder that was changed to a command."""
    for name, content in zip(("findings.json", "record.zip"), good(), strict=True):
        (folder / name).write_bytes(content)
    (folder / "sound").mkdir()
    (folder / "sound" / "findings.json").write_bytes(good()[0])
    (folder / "policy.toml").write_text("[performance]\naccuracy = 0.01\n")
    change(folder)
    policy = ("--policy", str(folder / "policy.toml")) if command in ("gate", "record") else ()
    more = (str(folder / "sound"),) if command == "diff" else ()
    return ran(command, str(folder), *more, *policy)


def cases() -> Iterator[Case]:
    """Yield every case about output folders and names."""
    for command in ("gate", "diff", "record", "report"):
        for what, change in _FINDINGS.items():
            act = partial(given, command, change)
            yield Case("findings.json", f"{what}, to {command}", act, ("refused",))
    for what, change in _RECORDS.items():
        yield Case("record.zip", what, partial(given, "report", change), ("refused",))
    for what, text in _POLICIES.items():
        change = partial(_put, "policy.toml", text)
        yield Case("policy", what, partial(given, "gate", change), ("refused",))
    for what, name in _NAMES.items():
        yield Case("name", f"{what}, a file", partial(_image_named, name), ("used",))
        yield Case("name", f"{what}, a class", partial(_class_named, name), ("used",))
        yield Case("name", f"{what}, in a report", partial(_reported, name), ("used", "failed"))
        yield Case("name", f"{what}, in every format", partial(_formatted, name), ("used",))
    for command in ("report", "record"):
        act = partial(_written_through, command)
        yield Case("output folder", f"what {command} writes is a link out", act, ("used",))
    yield Case("output folder", "record.zip is a link out", _record_linked_out, ("refused",))


def _put(name: str, content: str | bytes, folder: Path) -> None:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _set(*keys: str | int, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = json.loads(good()[0])
        place = data
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        _put("findings.json", json.dumps(data), folder)

    return change


def _linked(folder: Path) -> None:
    (folder / "findings.json").unlink()
    (folder / "findings.json").symlink_to("/etc/passwd")


def _linked_out(folder: Path) -> None:
    elsewhere = folder.parent / f"{folder.name}-elsewhere.json"
    shutil.move(folder / "findings.json", elsewhere)
    (folder / "findings.json").symlink_to(elsewhere)


def _folder(folder: Path) -> None:
    (folder / "findings.json").unlink()
    (folder / "findings.json").mkdir()


def _pipe(name: str, folder: Path) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


_FINDINGS: dict[str, Callable[[Path], None]] = {
    "empty": partial(_put, "findings.json", b""),
    "not UTF-8": partial(_put, "findings.json", b"\xff\xfe{}"),
    "an empty object": partial(_put, "findings.json", b"{}"),
    "a list": partial(_put, "findings.json", b"[]"),
    "100,000 brackets": partial(_put, "findings.json", b"[" * 100_000),
    "100,000 objects": partial(_put, "findings.json", b'{"a":' * 100_000),
    "breaks off": lambda folder: _put("findings.json", good()[0][:-500], folder),
    "reason: null": _set("reason", value=None),
    "a verdict of its own": _set("verdict", value="excellent"),
    "accuracy NaN": _set("performance", "accuracy", value=float("nan")),
    "accuracy infinite": _set("performance", "accuracy", value=float("inf")),
    "accuracy 2": _set("performance", "accuracy", value=2),
    "accuracy in words": _set("performance", "accuracy", value="high"),
    "10^30 images": _set("inputs", "read", value=10**30),
    "a number of 10,000 digits": partial(_put, "findings.json", b'{"a":' + b"9" * 10_000 + b"}"),
    "1e400": partial(_put, "findings.json", b'{"a": 1e400}'),
    "-1 images skipped": _set("inputs", "skipped", value={"missing": -1}),
    "findings as an object": _set("findings", value={}),
    "a finding that is null": _set("findings", value=[None]),
    "a cluster that is a number": _set("clusters", value=[7]),
    "schema version 9": _set("schema_version", value="9.0"),
    "a link to /etc/passwd": _linked,
    "a link to findings elsewhere": _linked_out,
    "a pipe": partial(_pipe, "findings.json"),
    "a folder": _folder,
}


def _record(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return a change of record.json within record.zip."""

    def write(folder: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(good()[1])) as old:
            members = {m.filename: old.read(m) for m in old.infolist()}
        contents = json.loads(members["record.json"])
        change(contents)
        members["record.json"] = json.dumps(contents).encode()
        _put("record.zip", _zipped(members), folder)

    return write


def _zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _npy(content: bytes) -> Callable[[Path], None]:
    """Return a change of every array within record.zip."""

    def write(folder: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(good()[1])) as old:
            members = {m.filename: old.read(m) for m in old.infolist()}
        arrays = {n: content if n.endswith(".npy") else c for n, c in members.items()}
        _put("record.zip", _zipped(arrays), folder)

    return write


def _header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


_RECORDS: dict[str, Callable[[Path], None]] = {
    "empty": partial(_put, "record.zip", b""),
    "missing": lambda folder: (folder / "record.zip").unlink(),
    "no zip archive": partial(_put, "record.zip", b"hello" * 99),
    "half of it": lambda folder: _put("record.zip", good()[1][: len(good()[1]) // 2], folder),
    "without its last 10 bytes": lambda folder: _put("record.zip", good()[1][:-10], folder),
    "a flipped byte": lambda folder: _put(
        "record.zip", good()[1][:200] + bytes([good()[1][200] ^ 255]) + good()[1][201:], folder
    ),
    "unpacks to 300 MB": lambda f: _put(
        "record.zip", _zipped({"record.json": bytes(3 * 10**8)}), f
    ),
    "packed by LZMA": lambda f: _put(
        "record.zip", _zipped({"record.json": b"{}"}, zipfile.ZIP_LZMA), f
    ),
    "record.json of brackets": lambda f: _put(
        "record.zip", _zipped({"record.json": b"[" * 100_000}), f
    ),
    "record.json missing": lambda f: _put("record.zip", _zipped({"../x": b"x"}), f),
    "another version": _record(lambda c: c.update(version=99)),
    "of another audit": _record(lambda c: c.update(findings="0" * 64)),
    "no record in it": _record(lambda c: c.update(record=None)),
    "exhibits that are a list": _record(lambda c: c["record"].update(exhibits=[])),
    "exhibits that are a number": _record(lambda c: c["record"].update(exhibits=7)),
    "an exhibit that is null": _record(lambda c: c["record"].update(exhibits={"x": None})),
    "a gallery of text": _record(lambda c: c["record"].update(gallery="x")),
    "an array of 2**60 numbers": _npy(_header(f"({2**60},)")),
    "an array of objects": _npy(_header("(1,)", "|O") + b"\x80\x02N."),
    "an array with less than it says": _npy(_header("(100,)") + bytes(8)),
    "an array that is none": _npy(b"hello"),
    "a pipe": partial(_pipe, "record.zip"),
}

_POLICIES = {
    "not TOML": "[[[",
    "an unknown key": "pass_on = 'all'",
    "accuracy nan": "[performance]\naccuracy = nan",
    "accuracy 85": "[performance]\naccuracy = 85",
    "max_skipped inf": "[coverage]\nmax_skipped = inf",
    "nested without end": "a = " + "[" * 100_000,
    "a number of 10,000 digits": "[coverage]\nmin_images = " + "9" * 10_000,
    "a waiver without an end": "[[waiver]]\nfinding = '*'\nowner = 'x'\nreason = 'y'",
}

_NAMES = {
    "HTML": "<img src=x onerror=alert(1)>",
    "the end of a script": "<!--<\u200bscript>",
    "ANSI": "\x1b[2J\x1b]0;title\x07",
    "turned round": "\u202egpj",
    "no width": "a\u200b\u2060b",
    "two lines": "a\nb",
    "a workflow command": "::error::x\n::set-output name=a::b",
    "a formula": "=cmd|' C calc'!A0",
    "a template": "{{7*7}}{% raw %}",
    "an option": "--out",
    "a full name of 240 bytes": "x" * 240,
    "not UTF-8": "\udcff\udcfe",
    "Markdown": "](javascript:x)|`@all`",
}


def _image_named(name: str, folder: Path) -> str:
    for label in "ab":
        (folder / label).mkdir()
        (folder / label / f"{name}.jpg").write_bytes(b"pixels")
    return _safe(open_dataset(folder).ids, 2)


def _class_named(name: str, folder: Path) -> str:
    for label in ("a", name):
        (folder / label).mkdir()
        (folder / label / "1.jpg").write_bytes(b"pixels")
    return _safe(open_dataset(folder).classes, 2)


def _safe(names: tuple[str, ...], expected: int) -> str:
    shown = "".join(names)
    acts = any(c in shown for c in "\x1b\x07\n\u202e\u200b\udcff")
    return "acts" if acts or len(names) != expected else "used"


def _reported(name: str, folder: Path) -> str:
    """Put a name into every text of a report and draw it."""
    text = json.dumps(json.loads(to_json(record().findings)))
    for own in ("malignant", "benign"):
        text = text.replace(json.dumps(own), json.dumps(name + own))
    _put("findings.json", text, folder)
    outcome = ran("gate", str(folder))
    page = ran("diff", str(folder), str(folder), "--html", str(folder / "diff.html"))
    html = (folder / "diff.html").read_text("utf-8")
    return "acts in HTML" if "<img src=x" in html or page != "used" else outcome


def _formatted(name: str, folder: Path) -> str:
    """Write findings full of a name in every format, and say which of them it acts in."""
    text = to_json(record().findings)
    for own in ("malignant", "benign", "dark_ring"):
        text = text.replace(json.dumps(own), json.dumps(name + own))
    findings = parse_findings(text.encode())
    result = judge(findings, Policy(), today=datetime.date(2026, 1, 1))
    for each in FORMATS:
        written = each.render(findings, result)
        if _ACTING.search(written):
            return f"acts on a terminal in {each.id}"
        if each.file.endswith((".json", ".sarif")):
            json.loads(written)
        if each.file.endswith(".xml"):
            ElementTree.fromstring(written)
        shown = written.split("\n---\n")[-1]  # behind the metadata of a model card, which are YAML
        if each.file.endswith(".md") and ("<img src=x" in shown or "](javascript:" in shown):
            return f"acts in {each.id}"
        if any(line.startswith("::") for line in written.splitlines()):
            return f"commands a build by {each.id}"
        if each.file.endswith(".csv") and any(
            cell.lstrip().startswith(("=", "+", "@"))
            for row in csv.reader(io.StringIO(written))
            for cell in row
        ):
            return f"acts in a spreadsheet by {each.id}"
    return "used"


def _written_through(command: str, folder: Path) -> str:
    """Let a command write where links lead out of the folder."""
    outside = folder.parent / f"{folder.name}-outside"
    outside.write_text("held")
    for name, content in zip(("findings.json", "record.zip"), good(), strict=True):
        (folder / name).write_bytes(content)
    files = ("report.html", *(each.file for each in FORMATS if each.for_record))
    for name in files:
        (folder / name).symlink_to(outside)
    outcome = ran(command, str(folder))
    return outcome if outside.read_text() == "held" else "wrote outside"


def _record_linked_out(folder: Path) -> str:
    elsewhere = folder.parent / f"{folder.name}-elsewhere.zip"
    elsewhere.write_bytes(good()[1])
    (folder / "findings.json").write_bytes(good()[0])
    (folder / "record.zip").symlink_to(elsewhere)
    return ran("report", str(folder))
