"""What is printed of many results, as tables of Markdown: rates with Wilson's 95 % intervals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from benchmarks.photographs.cases import LAST, REPORTED
from benchmarks.photographs.record import RIVALS
from benchmarks.photographs.rows import ClaimRow, Result, Row, credited, severe
from melaudit.statistics.estimates import proportion

TOOLS = {
    "spray": "SpRAy",
    "pcx": "PCX",
    "domino": "slices as Domino's",
    "cleanlab": "cleanlab",
    "border": "fixed border",
    "chance": "five groups at random",
}

TARGETS = (
    ("found, named or not", "90 % at least"),
    ("held by a group", "90 % at least"),
    ("proven without named detectors", "80 % at least"),
    ("claims that are false", "5 % at most"),
    ("claims that are false and high or critical", "1 % at most"),
)
STAGES = (REPORTED, 150, 212, 271, 295, 355, 415)
"""First reported seeds of stages of the code: by words alone; parts by likeness; parts that are
like nothing in other images, what finders mark, and places that are the thing itself; parts beside
images neither predicted nor labelled as the class, and looks by detail beside coarser detail; parts
in the light of the picture they are put into, and looks around the middle alone; chosen by what
they do, on both halves in turn; and by examples that are mined by what they do."""


def of_plants(results: Sequence[Result]) -> list[str]:
    """Return the table of the plants that are in use, found and not."""
    used = [row for row in rows_of(results) if row.uses]
    lines = _head(
        "plants in use",
        "found by name",
        "found, named or not",
        "held by a group",
        "proven without named detectors",
    )
    groups: dict[str, list[Row]] = {"all": used}
    for name in ("plant", "backbone", "pictures", "share"):
        for value in sorted({getattr(row, name) for row in used}):
            title = f"on {value:.0%}" if name == "share" else str(value).replace("_", " ")
            groups[title] = [row for row in used if getattr(row, name) == value]
    for title, some in groups.items():
        columns = (
            [row.found for row in some],
            [row.found or row.discovered for row in some],
            [row.grouped for row in some],
            [row.proven for row in some],
        )
        lines.append(_line(title, *(rate(hits) for hits in columns)))
    return lines


def of_rivals(results: Sequence[Result]) -> list[str]:
    """Return the table of what other tools say of the same models."""
    rows = rows_of(results)
    lines = _head("tool", "of plants in use", "alarms on models without one in use")
    for tool in RIVALS:
        hits = [h for row in rows if row.uses and (h := row.rivals.get(tool)) is not None]
        if not hits:
            lines.append(_line(TOOLS[tool], "none", ""))
            continue
        clean = [r.rows[0].rivals.get(tool) for r in results if r.clean]
        alarms = [hit for hit in clean if hit is not None] if tool in ("cleanlab", "border") else []
        lines.append(_line(TOOLS[tool], rate(hits), rate(alarms) if alarms else ""))
    return lines


def of_claims(results: Sequence[Result]) -> list[str]:
    """Return the table of the claims of dependence, and of those on models without a plant."""
    lines = _head("claims of dependence", "all", "true, or the plant", "false", "untried")
    claims = [claim for result in results for claim in result.claims]
    by_default = [claim for claim in claims if claim.audit == "default"]
    bare = [claim for claim in claims if claim.audit == "bare"]
    clean = [c for r in results if r.clean for c in r.claims if c.audit == "default"]
    for title, some in (
        ("by default", by_default),
        ("high or critical", [claim for claim in by_default if severe(claim)]),
        ("on models without a plant in use", clean),
        ("with named detectors off", bare),
    ):
        tried = [claim.verdict for claim in some if claim.verdict != "untried"]
        false = rate([verdict == "false" for verdict in tried]) if tried else "none tried"
        true = sum(verdict != "false" for verdict in tried)
        lines.append(_line(title, len(some), true, false, len(some) - len(tried)))
    return lines


def of_targets(results: Sequence[Result]) -> list[str]:
    """Return the table of the targets that were written down before any model was made.

    Reported seeds also stand apart by the code that audited them, see `STAGES`.
    """
    parts = {"measured": results}
    for first, end in itertools.pairwise((*STAGES, LAST + 1)):
        some = [r for r in results if first <= r.rows[0].seed < end]
        if some:
            parts[f"seeds {first} to {end - 1}"] = some
    lines = _head("target", "at", *parts)
    columns = [_hits(some) for some in parts.values()]
    for k, (title, aim) in enumerate(TARGETS):
        lines.append(_line(title, aim, *(rate(hits[k]) for hits in columns)))
    return lines


def _hits(results: Sequence[Result]) -> tuple[list[bool], ...]:
    """Return for each of `TARGETS` whether a plant in use, or a claim, is one that it counts."""
    used = [row for row in rows_of(results) if row.uses]
    tried = [c for r in results for c in by_default(r) if c.verdict != "untried"]
    return (
        [row.found or row.discovered for row in used],
        [row.grouped for row in used],
        [row.proven for row in used],
        [c.verdict == "false" for c in tried],
        [c.verdict == "false" and severe(c) for c in tried],
    )


def sentences(results: Sequence[Result]) -> list[str]:
    """Return what the tables do not say: how many, how ranked, how long."""
    rows = rows_of(results)
    used = [row for row in rows if row.uses]
    clean = [result for result in results if result.clean]
    untrue = [any(c.verdict == "false" for c in by_default(result)) for result in clean]
    lines = [
        f"{len(results)} models; plants in use: {len(used)} of {sum(bool(r.plant) for r in rows)}. "
        f"Of {len(clean)} models without a plant in use, {sum(bool(by_default(r)) for r in clean)} "
        f"have a claim of dependence and {sum(untrue)} a false one."
    ]
    ranked = [row for row in used if row.precision is not None and row.recall is not None]
    if ranked:
        precision = np.mean([row.precision for row in ranked if row.precision is not None])
        recall = np.mean([row.recall for row in ranked if row.recall is not None])
        lines.append(
            f"Images ranked, {len(ranked)} findings: precision at 25 {precision:.2f}, recall "
            f"{recall:.2f}."
        )
    if results:
        lines.append(
            f"Processor seconds of a model (medians): made {_median(results, 'making')}, audited "
            f"{_median(results, 'seconds')}, without named detectors "
            f"{_median(results, 'seconds_bare')} more, judged {_median(results, 'judging')}."
        )
    return lines


def missed(results: Sequence[Result]) -> list[str]:
    """Return a line for each plant in use that is not found, named or not."""
    return [
        f"* seed {row.seed}: {row.plant} on {row.share:.0%} of {row.pictures}, "
        f"{row.backbone.replace('_', ' ')}, use {100 * row.use:.0f} of 100"
        + (", held by a group" if row.grouped else "")
        + (", proven without named detectors" if row.proven else "")
        for row in rows_of(results)
        if row.uses and not (row.found or row.discovered)
    ]


def false_claims(results: Sequence[Result]) -> list[str]:
    """Return a line for each claim of the default audit that other edits do not bear out."""
    return [
        f"* {result.rows[0].case}: {claim.finding} ({claim.severity}) towards {claim.towards}, "
        f"other edits {_moved(claim)} of 100"
        for result in results
        for claim in by_default(result)
        if claim.verdict == "false"
    ]


def by_default(result: Result) -> list[ClaimRow]:
    """Return the claims of the default audit."""
    return [claim for claim in result.claims if claim.audit == "default"]


def rows_of(results: Sequence[Result]) -> list[Row]:
    """Return the rows of all results."""
    return [row for result in results for row in result.rows]


def everything(results: Sequence[Result]) -> list[str]:
    """Return all tables, with empty lines between."""
    results = [credited(result) for result in results]
    parts = [
        sentences(results),
        of_targets(results),
        of_plants(results),
        of_rivals(results),
        of_claims(results),
        ["Missed, by name and otherwise:", "", *(missed(results) or ["* none"])],
        ["Claims that other edits do not bear out:", "", *(false_claims(results) or ["* none"])],
    ]
    return [line for part in parts for line in (*part, "")]


def rate(hits: Sequence[bool]) -> str:
    """Return how many of how many, with Wilson's 95 % interval."""
    if not hits:
        return "0/0"
    share = proportion(sum(hits), len(hits))
    low, high = (f"{value:.2f}".removeprefix("0") for value in (share.low, share.high))
    return f"{sum(hits)}/{len(hits)} [{low}, {high}]"


def _head(*titles: str) -> list[str]:
    return [_line(*titles), _line(*("---" for _ in titles))]


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _median(results: Sequence[Result], name: str) -> str:
    return f"{np.median([getattr(result, name) for result in results]):.0f}"


def _moved(claim: ClaimRow) -> str:
    return "?" if claim.moved is None else f"{100 * claim.moved:+.0f}"
