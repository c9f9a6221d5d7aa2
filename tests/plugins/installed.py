"""Packages installed as pip would, without it: on the path, with their entry points."""

import tomllib
from pathlib import Path

import pytest


def installed(package: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package's sources on Python's path, and register what its pyproject.toml says."""
    text = (package / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    about = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    stated = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(stated)
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(package / "src"))
