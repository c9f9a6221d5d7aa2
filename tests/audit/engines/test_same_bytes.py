"""Four processes and one give the same bytes, over several shards, of one label and of two."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest

from tests.faults import small_audit
from tests.faults.disturbances import tell_that_it_joined, until_joined, when_stage

IMAGES = 4 * small_audit.SHARD
PATIENCE = 20.0
"""Seconds that workers have to end when the run has."""
COMPARED = {"findings.json", "images.parquet", "record.zip", "report.html", "labels.json"}


def written(folder: Path, workers: int, *options: str) -> dict[str, str]:
    """Return what an audit by one process and some workers wrote: file -> SHA-256."""
    small_audit.build(folder, IMAGES)
    names = sorted((folder / "data").rglob("*.png"))
    rows = [
        f"{path.relative_to(folder)},{int(path.parent.name == 'bright')},{k % 2}"
        for k, path in enumerate(names)
    ]
    (folder / "labels.csv").write_text("\n".join(["image,bright,odd", *rows]) + "\n")
    # So small a run would be over before workers find it: it waits for them at its first stage.
    tell = partial(when_stage, "Loading", tell_that_it_joined)
    wait = partial(when_stage, "Checking", partial(until_joined, workers))
    joined = [small_audit.begin_worker(folder, tell, f"{k}.txt") for k in range(workers)]
    run = small_audit.begin(folder, wait, *options)
    run.join(small_audit.LONGEST)
    ended = small_audit.end(run, folder)
    assert ended.code in (0, 1, 3), ended.said
    for process in joined:
        process.join(PATIENCE)
    besides = [small_audit.end(process, folder, f"{k}.txt") for k, process in enumerate(joined)]
    assert all(each.code == 0 for each in besides), besides
    out = folder / "out"
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.name in COMPARED
    }


@pytest.mark.parametrize(
    ("options", "files"),
    [((), 4), (("--data", "labels.csv", "--task", "multi-label"), 10)],
    ids=["one label", "two labels"],
)
def test_four_processes_write_what_one_does(
    tmp_path: Path, options: tuple[str, ...], files: int
) -> None:
    for name in ("one", "four"):
        (tmp_path / name).mkdir()
    alone = written(tmp_path / "one", 0, *options)
    assert len(alone) == files
    assert written(tmp_path / "four", 3, *options) == alone
