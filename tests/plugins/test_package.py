"""`melaudit new`: a package that works as it is written, and names that cannot be."""

import ast
import keyword
import os
import subprocess
import sys
from pathlib import Path

import pytest

from melaudit.artifacts.registry import artifacts
from melaudit.cli import main
from melaudit.detectors.registry import detectors
from melaudit.domains.registry import domains
from melaudit.errors import ConfigurationError
from melaudit.plugins.package import Kind, Plugin, files, plugin, write
from tests.docs.pages import ROOT
from tests.plugins.installed import installed

NAMES = {Kind.DETECTOR: "stamp", Kind.ARTIFACT: "white_sticker", Kind.DOMAIN: "retina"}


def test_the_example_is_what_the_command_writes() -> None:
    folder = ROOT / "examples" / "plugin"
    there = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts)
    }
    assert there == files(Plugin(Kind.DETECTOR, "stamp")), (
        "examples/plugin is not current; remove it and run: "
        "melaudit new detector stamp --out examples/plugin"
    )


def test_each_package_passes_its_own_tests_and_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {kind: tmp_path / kind for kind in Kind}
    for kind, folder in folders.items():
        write(plugin(kind, NAMES[kind]), folder)
    sources = [str(ROOT), *(str(folder / "src") for folder in folders.values())]
    asked = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked, "--import-mode=importlib", *folders.values()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "17 passed" in done.stdout
    for kind, folder in folders.items():
        installed(folder, tmp_path / f"site-{kind}", monkeypatch)
    assert NAMES[Kind.DETECTOR] in {d.id for d in detectors()}
    assert NAMES[Kind.ARTIFACT] in {a.id for a in artifacts()}
    assert NAMES[Kind.DOMAIN] in {d.id for d in domains()}


@pytest.mark.parametrize(
    "name",
    [
        *("", "Stamp", "white-stamp", "white stamp", "_stamp", "stamp_", "a__b", "1st", "étoile"),
        *("../stamp", "/tmp/stamp", "a/b", "a.b", "stamp\n", 'a"b', "a;b", "$name", "a" * 41),
    ],
)
def test_a_name_that_cannot_be_an_id_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected at most 40 small letters"):
        plugin(Kind.DETECTOR, name)


def test_a_word_of_python_makes_a_package_too() -> None:
    for kind in Kind:
        written = {p: t for p, t in files(plugin(kind, "none")).items() if p.endswith(".py")}
        names = {
            node.name
            for text in written.values()
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }
        assert len(written) > 1 and names
        assert not {name for name in names if keyword.iskeyword(name)}


@pytest.mark.parametrize("name", ["dark_ring", "metadata", "photo", "auto"])
def test_an_id_that_is_in_use_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "artifact", name]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_the_folder_is_named_for_it_and_one_that_is_there_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "domain", "bird_song"]) == 0
    written = (tmp_path / "melaudit-bird-song" / "pyproject.toml").read_text()
    assert 'bird_song = "melaudit_bird_song.domain:BIRD_SONG"' in written
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for place in ("melaudit-bird-song", "dangling"):
        assert main(["new", "domain", "bird_song", "--out", place]) == 2
        assert "is there already; choose another --out" in capsys.readouterr().err
    assert (tmp_path / "melaudit-bird-song" / "pyproject.toml").read_text() == written
