"""What error messages about a checkpoint file have in common."""

from __future__ import annotations

import re
import shlex
import traceback
from pathlib import Path
from typing import NoReturn

from melaudit.errors import CheckpointError
from melaudit.wording.names import visible

_OF_LIBRARIES = re.compile(
    r"site-packages|[/\\\\]melaudit[/\\\\](models|relevance)[/\\\\]|<frozen |importlib"
)
"""Files of which a user of `--factory` has no need to hear."""


def shown(path: Path) -> str:
    """Return a path as it can be shown, whatever characters it has."""
    return visible(str(path))


def first_line(error: BaseException) -> str:
    """Return the first line of an error, short enough for a message of one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return visible(lines[0])[:160].rstrip(". ")


def described(error: BaseException) -> str:
    """Describe an error of a user's code: type, message, and the file and line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _OF_LIBRARIES.search(frame.filename)]
    place = ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({visible(Path(error.filename).name)}, line {error.lineno})"
    elif own:
        place = f" ({visible(Path(own[-1].filename).name)}, line {own[-1].lineno})"
    said = f": {first_line(error)}" if str(error).strip() else ""
    return f"{type(error).__name__}{said}{place}"


def refuse(path: Path, what: str) -> NoReturn:
    """Raise a CheckpointError that says what a file is."""
    raise CheckpointError(f"{shown(path)} is {what}")


def trusting(path: Path) -> str:
    """Say what to do with a file that is safe only if its source is trusted."""
    given, out = (shlex.quote(visible(str(p))) for p in (path, path.with_suffix(".safetensors")))
    return (
        "if you trust where it comes from, run "
        f"`melaudit convert --i-trust-this-file {given} {out}`"
    )
