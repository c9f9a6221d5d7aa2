"""A package of somebody else's that adds to melaudit: its files, from the skeletons beside this.

Each skeleton is a whole example that works; its author replaces what it looks for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Template

from melaudit.errors import ConfigurationError
from melaudit.publish import make_folder, publish

_SKELETONS = Path(__file__).resolve().parent / "skeletons"
_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_LETTERS = 40
"""Of a name. Chosen: what a line of code and a column of a report hold."""


class Kind(StrEnum):
    """What a package may add."""

    DETECTOR = "detector"
    ARTIFACT = "artifact"
    DOMAIN = "domain"


@dataclass(frozen=True)
class Plugin:
    """A package to write: what it adds, and the id of that."""

    kind: Kind
    name: str

    @property
    def project(self) -> str:
        """The name that it is installed by: "melaudit-white-stamp"."""
        return f"melaudit-{self.name.replace('_', '-')}"

    @property
    def words(self) -> Mapping[str, str]:
        """What the skeletons leave open -> what stands there."""
        camel = "".join(part.capitalize() for part in self.name.split("_"))
        made = self.name.upper() if self.kind is Kind.DOMAIN else camel + self.kind.capitalize()
        return {
            "kind": self.kind.value,
            "group": f"melaudit.{self.kind}s",
            "name": self.name,
            "spoken": self.name.replace("_", " "),
            "project": self.project,
            "module": f"melaudit_{self.name}",
            "made": made,
        }


def plugin(kind: Kind, name: str, taken: Collection[str] = ()) -> Plugin:
    """Return the package that adds something of that name; `taken` are ids that are in use.

    Raises ConfigurationError for a name that cannot be an id, or is one already.
    """
    if not _NAME.fullmatch(name) or len(name) > _MAX_LETTERS:
        raise ConfigurationError(
            f"the name is {name[:_MAX_LETTERS]!r}; expected at most {_MAX_LETTERS} small letters "
            "a to z, digits and single underscores, the first a letter: white_stamp"
        )
    if name in taken:
        raise ConfigurationError(f"{name!r} is the id of something there is; choose another name")
    return Plugin(kind, name)


def files(made: Plugin) -> Mapping[str, str]:
    """Return path in the package -> text."""
    words = made.words
    module, kind = words["module"], made.kind
    skeletons = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": f"readme_{kind}.md.txt",
        f"src/{module}/__init__.py": "init.py.txt",
        f"src/{module}/{kind}.py": f"{kind}.py.txt",
        f"tests/test_{made.name}.py": f"test_{kind}.py.txt",
    }
    written = {
        path: Template((_SKELETONS / skeleton).read_text(encoding="utf-8")).substitute(words)
        for path, skeleton in skeletons.items()
    }
    return {**written, f"src/{module}/py.typed": ""}


def write(made: Plugin, folder: Path) -> None:
    """Write a package into a folder that is not there yet.

    Raises ConfigurationError where something is there, StoreError where it cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{folder} is there already; choose another --out")
    for path, text in files(made).items():
        make_folder((folder / path).parent)
        publish(folder / path, text.encode("utf-8"))
