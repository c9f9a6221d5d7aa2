"""The report's templates, style and script.

Everything is escaped, and no template can avoid it. Style and script are in the page and are named
by their hash in its content security policy, so nothing else in it can run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup, escape

from melaudit.wording.names import visible_as_code_points


@cache
def environment() -> jinja2.Environment:
    """Return the Jinja2 environment: escapes everything, and a missing value is an error.

    Hidden characters become visible in every text that a template prints, so that no name can be
    forgotten.
    """

    def shown(value: object) -> object:
        # Our own style and script pass as they are.
        if isinstance(value, str) and not isinstance(value, Markup):
            return visible_as_code_points(value)
        return value

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("melaudit", "templates"),
        # Not select_autoescape: it judges by suffix and leaves `.html.j2` unescaped.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["linked"] = linked
    return made


def linked(text: str, glossary: Sequence[tuple[str, str, str]]) -> Markup:
    """Return a text, escaped, in which the first use of each word of the glossary is a link to it.

    glossary: (terms with commas between them, explanation, anchor) of each entry.
    """
    anchors = {
        word.strip().lower(): anchor
        for terms, _, anchor in glossary
        for word in terms.split(",")
        if len(word.strip()) > 1  # "p" and "q" are letters of formulas
    }
    longest_first = sorted(anchors, key=lambda word: (-len(word), word))
    pattern = "|".join(map(re.escape, longest_first))
    out, used, at = Markup(), set(), 0
    for found in re.finditer(rf"\b(?:{pattern})s?\b", text, re.IGNORECASE) if pattern else ():
        word = found.group().lower()
        anchor = anchors.get(word) or anchors[word.removesuffix("s")]
        if anchor in used:
            continue
        used.add(anchor)
        out += escape(visible_as_code_points(text[at : found.start()]))
        out += Markup('<a class="term" href="#{}">{}</a>').format(anchor, found.group())
        at = found.end()
    return out + escape(visible_as_code_points(text[at:]))


def _asset(name: str) -> Markup:
    text = resources.files("melaudit.templates").joinpath(name).read_text("utf-8")
    assert "</" not in text, f"{name} would end its own element"
    return Markup(text)  # noqa: S704 - our own file, with nothing of a user's in it


def csp_hash(text: str) -> str:
    """Return the source expression that allows exactly this inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}"


def assets() -> dict[str, str]:
    """Return style and script as files: name -> text."""
    return {name: str(_asset(name)) for name in ("report.css", "report.js")}


@cache
def _assets() -> dict[str, Markup | str]:
    style, script = _asset("report.css"), _asset("report.js")
    return {
        "style": style,
        "script": script,
        "style_hash": csp_hash(style),
        "script_hash": csp_hash(script),
    }


def render(template: str, **context: object) -> str:
    """Return a template as text, with the style, the script and their hashes at hand.

    With `split`, the page links to them as files beside it.
    """
    settings = {"split": False, **_assets(), **context}
    return environment().get_template(template).render(**settings)
