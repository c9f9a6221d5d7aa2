"""record.zip: the report can be drawn again, byte for byte, and nothing in the file is obeyed."""

import dataclasses
import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from melaudit.errors import StoreError
from melaudit.findings import Finding, Findings, Performance
from melaudit.reports import read_findings, read_record, render_report, write_findings, write_record
from melaudit.reports.interface import Record

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled")


def stored(record: Record, folder: Path) -> Path:
    write_findings(record.findings, folder / "findings.json")
    write_record(record, folder / "record.zip")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_drawn_again_is_the_same_to_the_byte(
    kind: str, records: dict[str, Record], tmp_path: Path
) -> None:
    folder = stored(records[kind], tmp_path)
    record = replace(records[kind], findings=read_findings(folder / "findings.json"))
    assert render_report(read_record(folder)) == render_report(record)


def test_the_same_record_gives_the_same_bytes(records: dict[str, Record], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stored(records["ring"], tmp_path / name)
    assert (tmp_path / "a/record.zip").read_bytes() == (tmp_path / "b/record.zip").read_bytes()


def test_an_older_output_folder_says_what_is_missing(
    records: dict[str, Record], tmp_path: Path
) -> None:
    write_findings(records["ring"].findings, tmp_path / "findings.json")
    with pytest.raises(StoreError, match=r"no record\.zip.*run the audit again"):
        read_record(tmp_path)


def test_a_record_of_another_run_is_refused(records: dict[str, Record], tmp_path: Path) -> None:
    folder = stored(records["ring"], tmp_path)
    other = replace(records["ring"].findings, reason="Something else.")
    write_findings(other, folder / "findings.json")
    with pytest.raises(StoreError, match="different runs"):
        read_record(folder)


def optional(kind: type) -> set[str]:
    """Return the fields that a dataclass can do without, those that say what file this is apart."""
    absent = (dataclasses.MISSING, dataclasses.MISSING)
    fields = dataclasses.fields(kind)
    named = {f.name for f in fields if (f.default, f.default_factory) != absent}
    return named - {"schema_version"}


def aged(folder: Path) -> Path:
    """Make a folder as a version would have left it that knew no field that has a default."""
    text = (folder / "findings.json").read_bytes()
    data = json.loads(text)
    for name in optional(Findings):
        data.pop(name, None)  # some are left out while they are empty
    for name in optional(Performance):
        del data["performance"][name]
    for finding in data["findings"]:
        for name in optional(Finding):
            del finding[name]
    old = json.dumps(data, indent=1).encode()
    (folder / "findings.json").write_bytes(old)
    path = folder / "record.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    contents = json.loads(members["record.json"])
    assert contents["findings"] == hashlib.sha256(text).hexdigest()
    contents["findings"] = hashlib.sha256(old).hexdigest()
    members["record.json"] = json.dumps(contents).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return folder


def test_a_folder_of_an_older_version_is_drawn_again(
    records: dict[str, Record], tmp_path: Path
) -> None:
    assert {"columns", "slices"} <= optional(Performance)
    folder = aged(stored(records["ring"], tmp_path))

    text = render_report(read_record(folder))

    assert "Images of a label by age" not in text
    assert records["ring"].findings.findings[0].title in text


@pytest.mark.parametrize("old", [True, False])
def test_a_figure_that_was_changed_by_hand_is_refused(
    old: bool, records: dict[str, Record], tmp_path: Path
) -> None:
    folder = stored(records["ring"], tmp_path)
    path = folder / "findings.json"
    if old:
        aged(folder)
    text = path.read_text()
    assert text.count('"accuracy": 0.909') == 1
    path.write_text(text.replace('"accuracy": 0.909', '"accuracy": 0.990'))

    with pytest.raises(StoreError, match="or one was changed since"):
        read_record(folder)


@pytest.mark.parametrize("broken", [b"", b"PK", b"no archive at all"])
def test_a_broken_record_is_one_error(
    broken: bytes, records: dict[str, Record], tmp_path: Path
) -> None:
    folder = stored(records["ring"], tmp_path)
    (folder / "record.zip").write_bytes(broken)
    with pytest.raises(StoreError, match="no record of this melaudit"):
        read_record(folder)


def test_a_pickled_array_is_refused(records: dict[str, Record], tmp_path: Path) -> None:
    folder = stored(records["ring"], tmp_path)
    path = folder / "record.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    array = next(name for name in members if name.endswith(".npy"))
    head = members[array][:128].replace(b"<f2", b"|O ")
    members[array] = head + members[array][128:]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(StoreError, match="no record of this melaudit"):
        read_record(folder)


def test_a_record_of_a_later_version_is_refused(records: dict[str, Record], tmp_path: Path) -> None:
    folder = stored(records["ring"], tmp_path)
    with zipfile.ZipFile(folder / "record.zip", "w") as archive:
        archive.writestr("record.json", json.dumps({"version": 99}))
    with pytest.raises(StoreError, match="version 99"):
        read_record(folder)
