"""What can be seen of a run before anything is loaded: files that are not there, or no checkpoint.

torch takes seconds to import, and a wrong path should not take as long to be told.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from melaudit.audit.prepare.configuration import Configuration
from melaudit.errors import ConfigurationError
from melaudit.images.storage.address import is_address
from melaudit.models import frameworks
from melaudit.settings import settings_of
from melaudit.wording.names import visible


def first_look(configuration: Configuration) -> None:
    """Raise the MelauditError of a file or folder that is not there, or is of another framework."""
    for name, setting in settings_of(Configuration).items():
        path = getattr(configuration, name)
        if setting.about.expects and path is not None and not is_address(path):
            require(path, setting.about.expects)
    if configuration.factory is not None:
        file = configuration.factory.rpartition(":")[0]
        if file.endswith(".py"):
            require(Path(file).expanduser(), "the file of --factory FILE.py:FUNCTION")
    frameworks.first_look(configuration.model)


def require(path: Path, expected: str) -> None:
    """Raise ConfigurationError, with a name like it that exists, if nothing is at a path."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        near = _near(path)
        hint = f"; did you mean {visible(str(near))}?" if near else ""
        raise ConfigurationError(
            f"{visible(str(path))} does not exist; expected {expected}{hint}"
        ) from None
    except (OSError, ValueError):  # whoever opens it says why it cannot be read
        return


def _near(path: Path) -> Path | None:
    """Return what lies in the same folder under a name much like it."""
    try:
        names = [each.name for each in path.parent.iterdir()]
    except (OSError, ValueError):
        return None
    close = difflib.get_close_matches(path.name, names, n=1)
    return path.parent / close[0] if close else None
