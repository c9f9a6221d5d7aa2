"""The list of domains: ours in a plain tuple, those of other packages by entry point.

A package registers a `Domain`, or a function that returns one, like this:

    [project.entry-points."melaudit.domains"]
    retina = "my_package.retina:RETINA"
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points

from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.domains.interface import Domain
from melaudit.domains.photo import PHOTO
from melaudit.domains.radiograph import RADIOGRAPH
from melaudit.errors import ConfigurationError, DomainError

GROUP = "melaudit.domains"
"""The entry point group in which other packages register domains."""

OURS: tuple[Domain, ...] = (DERMOSCOPY, RADIOGRAPH, PHOTO)

FALLBACK = PHOTO
"""What pictures are taken for that look like those of no domain."""

AUTO = "auto"


def domains() -> tuple[Domain, ...]:
    """Return our domains, then the registered ones in order of their names.

    Raises DomainError if one cannot be loaded, is no `Domain` or repeats an id.
    """
    found = list(OURS)
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            loaded = entry.load()
            made = loaded if isinstance(loaded, Domain) else loaded()
        except Exception as error:
            raise DomainError(
                f"domain {entry.name!r} ({entry.value}) cannot be loaded: {error}; fix or "
                "uninstall the package that registers it"
            ) from error
        if not isinstance(made, Domain):
            raise DomainError(
                f"domain {entry.name!r} ({entry.value}) is of type {type(made).__name__}; expected "
                "a melaudit.domains.Domain, or a function that returns one"
            )
        if made.id == AUTO or any(made.id == other.id for other in found):
            raise DomainError(
                f"two domains have the id {made.id!r}; {entry.value} is one of them: give it "
                "another id or uninstall it"
            )
        found.append(made)
    return tuple(found)


def domain(name: str) -> Domain:
    """Return the domain of that name.

    Raises ConfigurationError for a name that no domain has.
    """
    known = {each.id: each for each in domains()}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, [*known, AUTO], n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join([AUTO, *known])}"
    raise ConfigurationError(f"no domain is named {name!r}; {hint}")
