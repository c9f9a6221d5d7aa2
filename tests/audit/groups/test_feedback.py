"""Feedback: a list that spreadsheets cannot run, read back whole, and a probe that generalises."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from melaudit.audit.groups.feedback import (
    read_reviews,
    refit,
    safe,
    suspicious_csv,
    unsafe,
    write_suspicious,
)
from melaudit.errors import DatasetError
from melaudit.findings import Cluster, Finding, Rung, Severity, Trust
from melaudit.measurements import Array, Measurements


def measurements(concepts: Array, ids: tuple[str, ...] | None = None) -> Measurements:
    n = len(concepts)
    zeros = np.zeros(n, np.int64)
    return Measurements(
        ids or tuple(f"{i}.jpg" for i in range(n)), zeros - 1, zeros, zeros,
        np.zeros((n, 2), np.float32), ("benign", "=malignant"), 1,
        {"relevance.concepts": concepts.astype(np.float16)}.__getitem__, "layer4", Trust.TRUSTED, 0,
    )  # fmt: skip


def cluster(images: tuple[str, ...]) -> Cluster:
    return Cluster(
        "=malignant-1", "=malignant", len(images), 0.8, {}, ("+why",), images, {}, None, 0.1, {}, ()
    )


def planted(n: int = 160) -> tuple[Measurements, Array]:
    rng = np.random.default_rng(0)
    shows = np.arange(n) % 4 == 0
    concepts = rng.normal(size=(n, 30))
    concepts[shows, 7] += 5
    return measurements(concepts), shows


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=x", "plain", "", "'"])
def test_cells_are_safe_and_come_back(cell: str) -> None:
    assert not safe(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unsafe(safe(cell)) == cell or cell == "'=x"  # a name that begins so is not told apart


def test_what_was_discovered_is_listed_first_and_each_image_once() -> None:
    table = measurements(np.zeros((4, 3)))
    finding = Finding(
        "discovered_1", "discovered_1", "=The model decides by it", Severity.HIGH, 1.0,
        Rung.DEPENDENCE, "discovered_1", (), "", (), ("2.jpg", "1.jpg"), "", "",
    )  # fmt: skip
    named = replace(finding, id="ruler", detector="ruler", images=("3.jpg",))
    groups = [cluster(("1.jpg", "0.jpg"))]
    content = suspicious_csv(groups, table, [named, finding]).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    listed = [(row["image"], unsafe(row["cluster"])) for row in rows]
    assert listed == [
        ("2.jpg", "discovered_1"),
        ("1.jpg", "discovered_1"),
        ("0.jpg", "=malignant-1"),
    ]
    assert rows[0]["why"] == "'=The model decides by it"
    assert all(row["artifact"] == "" for row in rows)


def test_no_cell_of_the_list_is_a_formula_and_ids_are_read_back(tmp_path: Path) -> None:
    ids = ("=cmd|' /C calc'!A0", "a,b.jpg", 'q"uote.jpg', "ü.jpg")
    table = measurements(np.zeros((4, 3)), ids)
    content = suspicious_csv([cluster(ids)], table)
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    (tmp_path / "s.csv").write_bytes(content)
    assert set(read_reviews(tmp_path / "s.csv")) == set(ids)


def test_a_list_that_was_filled_in_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "suspicious.csv"
    table = measurements(np.zeros((2, 3)))
    write_suspicious(path, [cluster(("0.jpg",))], table)
    write_suspicious(path, [cluster(("1.jpg",))], table)
    assert list(read_reviews(path)) == ["1.jpg"]
    path.write_text("image;artifact\n1.jpg;Ring\n")
    write_suspicious(path, [cluster(("0.jpg",))], table)
    assert read_reviews(path) == {"1.jpg": "ring"}


def test_a_file_without_the_columns_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("image,thing\na,b\n")
    with pytest.raises(DatasetError, match=r"no column artifact.*suspicious\.csv"):
        read_reviews(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_reviews(tmp_path / "absent.csv")


@pytest.mark.parametrize("also_none", [True, False])
def test_a_probe_finds_the_images_nobody_marked(also_none: bool) -> None:
    table, shows = planted()
    marked = {table.ids[i]: "ring" for i in np.flatnonzero(shows)[:20]}
    if also_none:
        marked |= {table.ids[i]: "none" for i in np.flatnonzero(~shows)[:20]}
    # Images nobody marked stand in for those lacking it, and some of them show it all the same.
    (probe,), skipped = refit(marked, table)
    assert not skipped and probe.reviewed is also_none
    found = [int(name.split(".")[0]) for name in probe.images[: shows.sum()]]
    assert shows[found].mean() >= 0.85
    assert probe.precision >= 0.7 > probe.chance and probe.precision_low > probe.chance


def test_ticks_at_random_are_ranked_no_better_than_chance() -> None:
    table, _ = planted()
    rng = np.random.default_rng(1)
    chosen = rng.permutation(160)[:80]
    marked = {table.ids[i]: "ring" if k % 2 else "none" for k, i in enumerate(chosen)}
    (probe,), _ = refit(marked, table)
    assert probe.precision_low < probe.chance < probe.precision_high


def test_too_few_ticks_are_said_and_strangers_ignored() -> None:
    table, _ = planted()
    probes, skipped = refit({"0.jpg": "ink", "4.jpg": "ink", "foreign.jpg": "ruler"}, table)
    assert not probes and [s.reason for s in skipped] == [
        "2 images are marked 'ink'; a probe needs 8"
    ]
    assert "no image" in refit({"foreign.jpg": "ruler"}, table)[1][0].reason
