"""What an output format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from melaudit.findings import Findings
from melaudit.gate import GateResult


@dataclass(frozen=True)
class Format:
    """A way to write the findings of an audit as text.

    A format stands in a file of its own in this folder and in `FORMATS` in `registry.py`; from
    there `Audit.render` and the command line take it. The HTML report is no format: it needs the
    pictures of the run too.
    """

    id: str
    """Its name in `Audit.render`; with two dashes in front, that of its option."""
    file: str
    """The name of its file in a folder."""
    about: str
    """What it is, in one line without a full stop: the help of its option."""
    render: Callable[[Findings, GateResult], str]
    """Return the text for an audit that was held against a policy; most formats need no more than
    the findings. The same findings and gate give the same text."""
    on_request: bool = True
    """Whether `melaudit run` and `melaudit gate` have an option that writes it to a file. False for
    what every run writes or prints."""
    for_record: bool = False
    """Whether `melaudit record` writes it."""
