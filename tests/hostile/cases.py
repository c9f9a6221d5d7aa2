"""All hostile inputs."""

from __future__ import annotations

from collections.abc import Iterator

from melaudit.wording.names import visible
from tests.hostile import checkpoints, images, outputs, tables
from tests.hostile.case import Case


def all_cases() -> Iterator[Case]:
    """Yield every case, area by area."""
    for area in (checkpoints, images, tables, outputs):
        yield from area.cases()


def row(case: Case, outcome: str = "") -> str:
    """Return a case as a row of Markdown; without an outcome, how that row begins."""
    cells = (case.area, case.name, " or ".join(case.expected), *([outcome] if outcome else []))
    return "| " + " | ".join(visible(c).replace("|", "\\|") for c in cells) + " |"
