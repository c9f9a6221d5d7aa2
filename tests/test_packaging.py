"""What would be published: contents and metadata of wheel and sdist, and both kinds of install."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.docs import licences, pages
from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command, in an environment that leads to no copy of the package, and return stdout."""
    free = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=free, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(out: Path, *, editable: bool = False) -> list[Path]:
    """Build as pip and `python -m build` do, through the hooks of the build backend (PEP 517)."""
    hooks = ("build_editable",) if editable else ("build_wheel", "build_sdist")
    code = f"from hatchling import build\nfor hook in {hooks}: getattr(build, hook)({str(out)!r})"
    out.mkdir()
    run(sys.executable, "-c", code)
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def wheel_and_sdist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    sdist, wheel = sorted(
        build(tmp_path_factory.mktemp("built") / "dist"), key=lambda path: path.suffix
    )
    return wheel, sdist


def environment(place: Path) -> tuple[Path, Path]:
    """Make an environment without melaudit in which all that it needs is there."""
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    (site,) = place.glob("lib/python*/site-packages")
    # A .pth in a folder that is named by a .pth is not read: no editable install shines through.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python, site


def ours() -> set[str]:
    """Return every file of the package."""
    files = (path for path in (ROOT / "melaudit").rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}


def test_the_wheel_holds_the_package_and_nothing_else(wheel_and_sdist: tuple[Path, Path]) -> None:
    wheel, _ = wheel_and_sdist
    assert wheel.name == f"melaudit-{VERSION}-py3-none-any.whl"
    about = f"melaudit-{VERSION}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if not name.startswith(about)} == ours()
    files = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert {name.removeprefix(about) for name in names if name.startswith(about)} == files


def test_the_sdist_holds_what_builds_and_tests_it(wheel_and_sdist: tuple[Path, Path]) -> None:
    _, sdist = wheel_and_sdist
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert ours() <= names
    assert {"pyproject.toml", "PKG-INFO", "LICENSE", "CHANGELOG.md", "CITATION.cff"} <= names
    assert {"tests/conftest.py", "docs/reference.md", "Makefile", "constraints.txt"} <= names
    assert not [n for n in names if n.startswith((".ci", ".venv", "demo/")) or n.endswith(".pyc")]


def test_metadata_says_what_the_project_says(wheel_and_sdist: tuple[Path, Path]) -> None:
    wheel, sdist = wheel_and_sdist
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"melaudit-{VERSION}.dist-info/METADATA").decode("utf-8")
    stated = email.message_from_string(text)
    assert stated["Version"] == VERSION
    assert stated["License-Expression"] == "BSD-3-Clause"
    assert stated.get_payload() == pages.text("README.md")
    required = {Requirement(text).name for text in stated.get_all("Requires-Dist") or ()}
    assert {"torch", "click", "pytest"} <= required
    assert "PASSED" in run(
        *(sys.executable, "-m", "twine", "--no-color", "check", "--strict", wheel, sdist)
    )


def test_installed_from_the_wheel_alone_it_runs(
    wheel_and_sdist: tuple[Path, Path], tmp_path: Path
) -> None:
    python, site = environment(tmp_path / "venv")
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
        *("--no-deps", "--no-index", wheel_and_sdist[0]),
    )
    program = python.with_name("melaudit")
    assert run(program, "--version", cwd=tmp_path).split()[-1] == VERSION
    assert "To begin with" in run(program, "run", "--help", cwd=tmp_path)
    code = (
        "import melaudit, melaudit.reports, melaudit.templates\n"
        "melaudit.reports.schema(); melaudit.templates.environment().get_template('base.html.j2')\n"
        "print(melaudit.__file__)"
    )
    assert Path(run(python, "-c", code, cwd=tmp_path).strip()) == site / "melaudit" / "__init__.py"


def test_a_folder_of_its_name_does_not_shadow_an_editable_install(tmp_path: Path) -> None:
    """As in the folder above a clone, where Python would find an empty namespace."""
    (wheel,) = build(tmp_path / "dist", editable=True)
    python, site = environment(tmp_path / "venv")
    with zipfile.ZipFile(wheel) as archive:  # what pip does with a wheel
        archive.extractall(site)
    above = tmp_path / "above"
    (above / "melaudit").mkdir(parents=True)
    code = "import melaudit; print(melaudit.__file__, melaudit.audit.__name__)"
    assert run(python, "-c", code, cwd=above).split() == [
        str(ROOT / "melaudit" / "__init__.py"),
        "audit",
    ]


def test_the_version_is_the_same_wherever_it_is_told() -> None:
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (\S+)$", cited, re.MULTILINE) == [VERSION]
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "melaudit").rglob("*.py")]
    assert not [text for text in code if f'"{VERSION}"' in text]


def test_the_page_of_licences_names_all_that_the_project_requires() -> None:
    listed = {
        tuple(cell.strip() for cell in line.split("|")[1:3])
        for line in pages.text("docs/licences.md").splitlines()
        if line.startswith("| ")
    }
    direct = set(licences.required())
    found = {(name, licence) for name, licence, by in licences.rows_of(direct) if "melaudit" in by}
    assert len(found) >= len(direct)
    assert found <= listed, "docs/licences.md is not current; run: python -m tests.docs.licences"


CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}
"""Packages that conda-forge calls otherwise."""


def test_the_recipe_for_conda_asks_for_what_the_project_asks_for() -> None:
    text = (ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    recipe = yaml.safe_load(text.replace("${{ version }}", VERSION))
    assert recipe["context"]["version"] == recipe["package"]["version"] == VERSION
    assert recipe["package"]["name"] == PROJECT["name"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert (ROOT / recipe["about"]["license_file"]).is_file()
    (script,) = recipe["build"]["python"]["entry_points"]
    assert script == f"melaudit = {PROJECT['scripts']['melaudit']}"
    wanted = {"python": PROJECT["requires-python"]}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        name = CONDA_NAMES.get(requirement.name, requirement.name)
        wanted[name] = str(requirement.specifier)
    listed = (line.partition(" ") for line in recipe["requirements"]["run"])
    assert {name: versions for name, _, versions in listed} == wanted
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]
    host = {line.replace(" ", "") for line in recipe["requirements"]["host"]}
    assert set(backend["requires"]) <= host
