"""Writes docs/licences.md: what is installed with melaudit, and under which licences.

    python -m tests.docs.licences

Names and licences are those that the installed packages state of themselves.
"""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "licences.md"
HEAD = """\
# Licences of what melaudit needs

Written by `python -m tests.docs.licences` from what the packages state of themselves, on Linux.
melaudit itself is under BSD 3-Clause; it imports these packages and contains none of them. Packages
of extras and tests are not listed.

| package | licence | needed by |
| --- | --- | --- |
"""
_MAX_LETTERS = 80
"""Of a licence's name; some packages write the whole text there."""


def page() -> str:
    """Return the whole page."""
    rows = (f"| {name} | {licence} | {by} |\n" for name, licence, by in rows_of(required()))
    return HEAD + "".join(rows)


def required() -> list[str]:
    """Return the names of what the project requires itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(each).name for each in project["dependencies"]]


def rows_of(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, licence and by whom it is needed, of packages and all that they need."""
    needed: dict[str, set[str]] = {canonicalize_name(name): {"melaudit"} for name in names}
    found: dict[str, Distribution] = {}
    while missing := [name for name in needed if name not in found]:
        for name in missing:
            found[name] = distribution(name)
            for other in _needs(found[name]):
                needed.setdefault(other, set()).add(found[name].metadata["Name"])
    for name in sorted(found):
        yield found[name].metadata["Name"], licence_of(found[name]), ", ".join(sorted(needed[name]))


def _needs(package: Distribution) -> Iterator[str]:
    """Yield what a package needs on this machine, without its extras."""
    for each in map(Requirement, package.requires or ()):
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            name = canonicalize_name(each.name)
            try:
                distribution(name)
            except PackageNotFoundError:
                continue  # for another version of Python, say
            yield name


def licence_of(package: Distribution) -> str:
    """Return the licence that a package states: an expression, classifiers or a short text."""
    stated = package.metadata
    if "License-Expression" in stated:
        return stated["License-Expression"]
    classified = [
        text.rpartition(" :: ")[2]
        for text in stated.get_all("Classifier") or ()
        if text.startswith("License :: ") and not text.endswith("OSI Approved")
    ]
    written = " ".join(stated["License"].split()) if "License" in stated else ""
    if classified:
        return ", ".join(classified)
    return written if 0 < len(written) <= _MAX_LETTERS else "as its licence file says"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
