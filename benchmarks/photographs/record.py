"""The rows of the reported seeds, kept beside this code as CSV: no pictures and no paths.

`reported.csv` has a row for each plant of a model, or one for a clean model; `claims.csv` one for
each claim of dependence. Each row says with which commit of the code it was made. Runs of other
seeds add to them; a seed is run once.
"""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmarks.photographs.rows import ClaimRow, Result, Row

HERE = Path(__file__).parent
RIVALS = ("spray", "pcx", "domino", "cleanlab", "border", "chance")
OF_CASE = ("making", "seconds", "seconds_bare", "judging", "commit")
COLUMNS = (*(f.name for f in fields(Row) if f.name != "rivals"), *RIVALS, *OF_CASE)
OF_CLAIM = (*(f.name for f in fields(ClaimRow)), "commit")
DIGITS = 3


def commit() -> str:
    """Return the commit of the code; it ends in "+" where files differ from it."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
    )
    other = [line for line in changed.stdout.splitlines() if not line.endswith(".csv")]
    return head.stdout.strip() + "+" * bool(other)


def add(result: Result, code: str, folder: Path = HERE) -> None:
    """Add the rows of a case, made with the commit `code`, to the files in a folder."""
    of_case = {name: getattr(result, name) for name in OF_CASE if name != "commit"}
    rows = []
    for row in result.rows:
        known = asdict(row)
        known |= {name: known["rivals"].get(name) for name in RIVALS} | of_case
        rows.append(known | {"commit": code})
    _append(folder / "reported.csv", COLUMNS, rows)
    claims = [asdict(claim) | {"commit": code} for claim in result.claims]
    _append(folder / "claims.csv", OF_CLAIM, claims)


def read(folder: Path = HERE) -> list[Result]:
    """Return what is kept in a folder, in the order of the seeds."""
    claims = [ClaimRow(**_of(ClaimRow, row)) for row in _table(folder / "claims.csv")]
    cases: dict[str, list[dict[str, Any]]] = {}
    for row in _table(folder / "reported.csv"):
        cases.setdefault(row["case"], []).append(row)
    results = [
        Result(
            tuple(Row(**_of(Row, row), rivals={k: row[k] for k in RIVALS}) for row in rows),
            tuple(claim for claim in claims if claim.case == case),
            **{name: rows[0][name] for name in OF_CASE if name != "commit"},
        )
        for case, rows in cases.items()
    ]
    return sorted(results, key=lambda result: result.rows[0].seed)


def begin(folder: Path) -> None:
    """Write both files without rows."""
    for name, columns in (("reported.csv", COLUMNS), ("claims.csv", OF_CLAIM)):
        (folder / name).write_text(",".join(columns) + "\n")


def _append(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            writer.writerow([_cell(row[name]) for name in columns])


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(round(value, DIGITS) if isinstance(value, float) else value)


def _table(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return [{k: _value(k, v) for k, v in row.items()} for row in csv.DictReader(file)]


TEXT = {"case", "pictures", "backbone", "plant", "commit", "error"} | {
    "audit",
    "finding",
    "severity",
    "towards",
    "verdict",
}


def _value(column: str, cell: str) -> Any:
    return cell if column in TEXT else json.loads(cell)


def _of(kind: type[Row] | type[ClaimRow], row: dict[str, Any]) -> dict[str, Any]:
    return {f.name: row[f.name] for f in fields(kind) if f.name in row}
