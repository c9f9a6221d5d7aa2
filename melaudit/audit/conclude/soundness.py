"""Results held against the schema of findings.json at the moment a detector returns them.

A detector may be anybody's. What it returns is held here, where its name is still known, and not
when the whole document is written.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TypeVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from melaudit.findings import (
    Check,
    Drift,
    Evidence,
    Failed,
    Finding,
    NotFound,
    Reaction,
    SkinTone,
    Skipped,
)
from melaudit.findings.plain import plain
from melaudit.reports import schema

R = TypeVar(
    "R", bound=Check | Drift | Evidence | Finding | NotFound | Reaction | SkinTone | Skipped
)

_DEFINED = {
    Check: "check",
    Drift: "drift",
    Evidence: "evidence",
    Finding: "finding",
    NotFound: "not_found",
    Reaction: "reaction",
    SkinTone: "skin_tone",
    Skipped: "skipped",
    Failed: "skipped",
}
"""What the schema calls each."""
_MAX_VALUE = 60
"""Letters that a message shows of a wrong value."""


def sound(result: R) -> R:
    """Return a result if findings.json can hold it.

    Raises ValueError, saying what is wrong with which field, for one that the schema refuses, and
    for evidence that carries a rung with a figure that is no number.
    """
    name = _DEFINED[type(result)]
    wrong = best_match(_validator(name).iter_errors(plain(result)))
    if wrong is not None:
        field = wrong.json_path.removeprefix("$.")
        value = repr(wrong.instance)
        if len(value) > _MAX_VALUE:
            value = f"{value[:_MAX_VALUE]}..."
        rule = f"{wrong.validator} {wrong.validator_value!r}"
        raise ValueError(
            f"{field} of the {name.replace('_', ' ')} it returned is {value}; expected {rule}"
        )
    if isinstance(result, Evidence) and result.reached and not math.isfinite(result.estimate):
        raise ValueError(
            f"the evidence {result.name!r} that it returned carries a rung with an estimate of "
            f"{result.estimate}; expected a number"
        )
    return result


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema()["$defs"]})
