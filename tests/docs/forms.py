"""Writes docs/checkpoints.md and docs/data.md: what may be given, and what is answered.

    python -m tests.docs.forms

Each form is made, small, and given to melaudit; the page says what it became, or the very error.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from melaudit.errors import MelauditError
from tests.docs.pages import ROOT


@dataclass(frozen=True)
class Form:
    """Something that people have, and how it is given."""

    title: str
    about: str
    """What to know of it, in a sentence or two; may be empty."""
    options: str
    """As they stand on the command line: `--model ckpt.pt`."""
    give: Callable[[], str]
    """Make it in the working folder, give it to melaudit, and return in a line what it became."""


@dataclass(frozen=True)
class Subject:
    """One page."""

    file: str
    head: str
    used: Sequence[Form]
    refused_head: str
    refused: Sequence[Form]


def page(subject: Subject) -> str:
    """Return a page: forms that are taken, then those that are refused with the way out."""
    rows = "\n".join(_said(form, refused=False) for form in subject.used)
    refusals = "\n".join(_said(form, refused=True) for form in subject.refused)
    return f"{subject.head}\n{rows}\n{subject.refused_head}\n{refusals}"


def _said(form: Form, *, refused: bool) -> str:
    about = f"{form.about}\n\n" if form.about else ""
    answer = answered(form, refused=refused)
    said = "It ends with 2 and says" if refused else "It says"
    return f"### {form.title}\n\n{about}    melaudit run {form.options}\n\n{said}:\n\n> {answer}\n"


def answered(form: Form, *, refused: bool) -> str:
    """Give a form to melaudit in an empty folder, and return the answer.

    Raises AssertionError if it is refused and should not be, or the other way round.
    """
    with _empty_folder():
        try:
            answer = form.give()
        except MelauditError as error:
            assert refused, f"{form.title}: {error}"
            return _quoted(f"error: {error}")
        assert not refused, f"{form.title} is taken: {answer}"
        return _quoted(answer)


def _quoted(text: str) -> str:
    """Return a text in which no letter is taken for a mark of Markdown, but code stays code.

    The folder that the form was given in is not what a reader has, and another each time.
    """
    here = str(Path.cwd())
    parts = text.replace(f"{here}/", "").replace(here, ".").split("`")
    return "`".join(
        re.sub(r"[\\*_<\[|]", r"\\\g<0>", t) if i % 2 == 0 else t for i, t in enumerate(parts)
    )


@contextlib.contextmanager
def _empty_folder() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def subjects() -> tuple[Subject, ...]:
    """Return the pages that are written."""
    from tests.docs import forms_of_checkpoints, forms_of_data

    return forms_of_checkpoints.SUBJECT, forms_of_data.SUBJECT


if __name__ == "__main__":
    for each in subjects():
        (ROOT / each.file).write_text(page(each), encoding="utf-8")
