"""What the site adds to Sphinx: the public names of docs/api.md with their docstrings."""

from __future__ import annotations

import enum
import itertools
import re
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tests.docs import api


class Names(SphinxDirective):
    """Document the public names that stand under one heading of docs/api.md, and under none before.

    ```{public-names} Relevance
    ```
    """

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return what autodoc says of each name."""
        heading = self.arguments[0]
        before = itertools.takewhile(lambda other: other != heading, api.SECTIONS)
        known = {id(api.found(*each)) for other in before for each in api.named(other)}
        listed = [each for each in api.named(heading) if id(api.found(*each)) not in known]
        said = "\n".join(autodoc(module, name) for module, name in listed)
        return self.parse_text_to_nodes(f"```{{eval-rst}}\n{said}\n```")


def autodoc(module: str, name: str) -> str:
    """Return the directive that documents one name."""
    found = api.found(module, name)
    path = f"{module}.{name}"
    if isinstance(found, type) and issubclass(found, BaseException):
        return f".. autoexception:: {path}\n"
    if isinstance(found, type):
        undocumented = "   :undoc-members:\n" if issubclass(found, enum.Enum) else ""
        return f".. autoclass:: {path}\n   :members:\n{undocumented}"
    if callable(found):
        return f".. autofunction:: {path}\n"
    return f".. autodata:: {path}\n"


def plain(_app: Any, _kind: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Let nothing in a docstring be taken for the marks of reStructuredText."""
    marks = (re.sub(r"(\*+|\|)|(?<=\w)_(?=\W|$)", r"\\\g<0>", line) for line in lines)
    lines[:] = [re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line) for line in marks]
