"""Where a run found its files: kept beside its shards, on this machine.

Reports and findings.json name no folders, since they are sent to others. A later command on the
same audit needs the folders all the same. What runs a user's code, a factory, is not kept: whoever
wants it run names it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from melaudit.audit.prepare.configuration import Configuration, typed
from melaudit.errors import ConfigurationError
from melaudit.findings import Provenance
from melaudit.images.storage.address import absolute
from melaudit.publish import publish
from melaudit.regular_file import read_regular
from melaudit.settings import settings_of

FOLDER, NAME = "shards", "places.json"
MAX_BYTES = 2**20
"""Chosen: a round figure; the file names a handful of paths."""

PLACES = ("model", "data", "image_root", "object_masks", "artifact_labels", "artifact_masks")
"""Settings that name a file or folder, and that whoever looks at the images again needs."""
_NOT_AGAIN = ("out", "sharing", "factory", "labels", "train_data", "intended_use")
"""Settings that only the run itself needs, and code that is run on request alone."""


def write_places(configuration: Configuration) -> None:
    """Write where the files of a run lie. Raises StoreError when that cannot be written."""
    places = {
        name: str(absolute(Path(value)))
        for name in PLACES
        if (value := getattr(configuration, name)) is not None
    }
    folder = configuration.out / FOLDER
    folder.mkdir(exist_ok=True)
    publish(folder / NAME, json.dumps(places, indent=2).encode() + b"\n")


def read_places(audit: Path) -> dict[str, Path]:
    """Return setting -> place as the run in a folder was given it; empty where nothing is kept."""
    try:
        kept = json.loads(read_regular(audit / FOLDER / NAME, MAX_BYTES, audit))
        return {name: Path(str(kept[name])) for name in PLACES if name in kept}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def configuration_again(
    provenance: Provenance, audit: Path, given: Mapping[str, object]
) -> Configuration:
    """Return the settings of the run in a folder, for looking at its images again.

    given: what the user says now, which comes first. Raises ConfigurationError that says what to
    add where a file is not known, and for a value that makes no sense.
    """
    said = {name: value for name, value in given.items() if value not in (None, "")}
    places = {**read_places(audit), **said}
    own: dict[str, object] = {}
    known = settings_of(Configuration)  # an earlier melaudit may have had others
    for name, value in provenance.config.items():
        if value is None or name not in known or name in (*_NOT_AGAIN, *PLACES, *places):
            continue
        own |= typed({name: value}, f"the audit in {audit}")
    for name in ("model", "data"):
        if name not in places:
            raise ConfigurationError(
                f"{audit} does not say where its {name} lies, {provenance.config.get(name)}; add "
                f"--{name} PLACE"
            )
    for name in PLACES:
        if provenance.config.get(name) is not None and name not in places:
            raise ConfigurationError(
                f"{audit} was made with --{name.replace('_', '-')} {provenance.config[name]} and "
                "does not say where that lies; add the option"
            )
    if provenance.config.get("factory") and "factory" not in places:
        raise ConfigurationError(
            f"the model of {audit} is built by code of yours, {provenance.config['factory']}, "
            "which runs only where you say so; add --factory FILE.py:FUNCTION"
        )
    return Configuration(**{**own, **typed(places, "options"), "out": audit})
