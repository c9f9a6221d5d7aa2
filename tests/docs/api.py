"""Writes docs/api.md: the names that other people's code may rely on, in the words of the code.

    python -m tests.docs.api

`test_api.py` checks that the page is the one that this module writes, and that packages which
`melaudit new` writes use nothing else.
"""

import dataclasses
import enum
import importlib
import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "api.md"

HEAD = """\
# Names to rely on: the public API

Written by `make reference` from the docstrings of the code; a test checks that it is current.
Commands, options and settings are in [docs/reference.md](reference.md).

## What stays, and for how long

* What this page lists is stable. A name that is listed goes, or changes so that code which was
  right breaks, in a new minor version at the earliest (from 1.0 on, in a new major one), and only
  after a minor version in which its use gives a `DeprecationWarning` that names what to use
  instead. The changelog names it under Deprecated, and then under Removed.
* At any time a function may get a parameter with a default, a class another attribute or method, an
  enumeration another value, and a message other words. What other people's classes must have
  (`Detector`, `Artifact`, `Domain`) gets additions only with defaults.
* The same holds of commands, options and settings. What stands neither here nor there, and every
  name with a leading underscore, may change in any version.
* Figures are no part of the promise: a version that measures better gives other ones, and the
  changelog says so.
"""

SECTIONS: Mapping[str, Sequence[tuple[str, Sequence[str]]]] = {
    "To audit": [
        ("melaudit", ()),
        ("melaudit.policy", ("Policy", "Coverage", "PassTerms", "Required", "Waiver")),
        ("melaudit.policy", ("read_policy", "parse_policy")),
        ("melaudit.gate", ("judge", "GateResult", "Rule", "Outcome")),
    ],
    "In tests and trainings": [
        ("melaudit.integrations.assertion", ("assert_no_shortcut",)),
        ("melaudit.integrations.pytest_plugin", ("assert_no_shortcut",)),
        ("melaudit.artifacts.transforms", ("Put", "Remove")),
    ],
    "Relevance": [
        ("melaudit.relevance", ()),
        ("melaudit.reports.page.panel", ("Tile", "panel")),
    ],
    "Data to try things on": [
        ("melaudit.demo", ("generate", "train", "DemoData", "TrainingReport"))
    ],
    "To write a detector": [
        ("melaudit.detectors.interface", ("Detector", "Batch", "BatchImages", "Answers", "Maps")),
        ("melaudit.detectors.interface", ("UserKnowledge", "CheckImages", "Attributor")),
        ("melaudit.detectors.settings", ("DetectorSettings",)),
        ("melaudit.detectors.claim", ("Claim", "evidence_of", "finding", "counted")),
        ("melaudit.measurements", ("Measurements", "Trials", "Edit")),
        ("melaudit.statistics.estimates", ("Estimate", "Tested", "odds_ratio")),
        ("melaudit.statistics.correction", ("clear", "settle")),
        ("melaudit.detectors.registry", ("detectors",)),
    ],
    "To write an artifact": [
        ("melaudit.artifacts", ()),
        ("melaudit.artifacts.interface", ("HasPlainRule", "Adaptable", "HasKinds", "HasAliases")),
        ("melaudit.artifacts.held", ("find", "add", "remove", "placebos")),
        ("melaudit.artifacts.picture", ("checked", "checked_mask", "checked_dose", "blended")),
        ("melaudit.artifacts.picture", ("edit", "darkest_channel", "brightest_channel")),
        ("melaudit.artifacts.painting.inpainting", ("continued",)),
        ("melaudit.artifacts.painting.placebos", ("neutral_placebos",)),
    ],
    "To write a domain": [("melaudit.domains", ())],
    "The vocabulary of findings": [("melaudit.findings", ())],
}
"""Heading -> modules and the names of theirs that are public; no names for those of `__all__`."""
TYPES = {
    "melaudit.artifacts.interface": ("RGB", "Mask"),
    "melaudit.detectors.interface": ("Result",),
    "melaudit.measurements": ("Array",),
}
"""Names of types, which have no docstring of their own."""
KINDS = "melaudit.artifacts.kinds"


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for heading, modules in SECTIONS.items():
        parts.append(f"## {heading}\n")
        parts.append("".join(f"{_line(m, n)}\n" for m, names in modules for n in _names(m, names)))
    parts.append("## Names of types\n")
    listed = (f"`{module}.{name}`" for module, names in TYPES.items() for name in names)
    parts.append(f"{', '.join(listed)}; and each class of the modules in `{KINDS}`.\n")
    return "\n".join(parts)


def public() -> Iterator[tuple[str, str]]:
    """Yield (module, name) of everything that is listed."""
    for modules in (*SECTIONS.values(), list(TYPES.items())):
        for module, names in modules:
            yield from ((module, name) for name in _names(module, names))


def named(heading: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of what stands under one heading."""
    for module, names in SECTIONS[heading]:
        yield from ((module, name) for name in _names(module, names))


def found(module: str, name: str) -> object:
    """Return what a name of a module stands for."""
    it: object = getattr(importlib.import_module(module), name)
    return it


def _names(module: str, names: Sequence[str]) -> Sequence[str]:
    face: Sequence[str] = importlib.import_module(module).__all__ if not names else names
    return face


def _line(module: str, name: str) -> str:
    """Return the line of one name: what it is, and what it has."""
    it = found(module, name)
    said = " ".join(inspect.cleandoc(it.__doc__ or "").partition("\n\n")[0].split())
    has = ", ".join(f"`{member}`" for member in _members(it))
    return f"* `{module}.{name}`: {said}" + (f" Has {has}." if has else "")


def _members(it: object) -> Iterator[str]:
    """Yield the public attributes and methods of a class; for anything else, nothing."""
    if not isinstance(it, type) or issubclass(it, BaseException):
        return
    if issubclass(it, enum.Enum):
        yield from (member.name for member in it)
        return
    fields = [f.name for f in dataclasses.fields(it)] if dataclasses.is_dataclass(it) else []
    own = {**dict.fromkeys(fields), **dict.fromkeys(inspect.get_annotations(it))}
    kinds = (types.FunctionType, property, classmethod, staticmethod)
    own |= {name: None for name, value in vars(it).items() if isinstance(value, kinds)}
    yield from (name for name in own if not name.startswith("_"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
