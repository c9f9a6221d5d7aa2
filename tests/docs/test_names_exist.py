"""What the documents name exists: options, commands, settings, modules, files, headings."""

import importlib
import re
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

from melaudit.audit.prepare.configuration import typed
from melaudit.audit.prepare.intended_use import stated
from melaudit.cli import cli
from melaudit.policy import parse_policy
from tests.docs import pages, reference
from tests.docs.pages import FILES, OPTION, ROOT

FOLDERS = ("melaudit", "tests", "docs", "benchmarks", "examples")
"""Folders of the project whose files the documents name."""
FOREIGN = {
    "--upgrade",
    "--no-deps",
    "--target",
    "--junit-xml",
    "--rm",
    "--build-arg",
    "--resolution",
    "--python-version",
}
"""Options of other programs that people are told to give: pip's, pytest's, docker's, uv's."""

every_page = pytest.mark.parametrize("name", FILES)


@cache
def command_options() -> frozenset[str]:
    """Return the options of all our commands."""
    return frozenset(o for _, each in reference.commands() for o in reference.option_names(each))


def script_options(path: Path) -> set[str]:
    """Return the options that the source of a benchmark or of a table of tests defines."""
    return {text for text in pages.strings(path) if OPTION.fullmatch(text)}


@cache
def source() -> str:
    """Return all that is code, to look words up in."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    paths += [ROOT / "pyproject.toml", *(ROOT / "melaudit").rglob("*.json")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


@every_page
def test_every_option_exists(name: str) -> None:
    scripts = list((ROOT / "benchmarks").rglob("*.py"))
    scripts += (ROOT / "tests").glob("*/__main__.py")
    scripts += [ROOT / "tests" / "soak.py"]
    assert set(OPTION.findall(pages.text(name))) <= command_options().union(
        FOREIGN, *map(script_options, scripts)
    )


def test_every_option_that_the_code_speaks_of_exists() -> None:
    unknown = {
        (str(path.relative_to(ROOT)), option)
        for path in (ROOT / "melaudit").rglob("*.py")
        for text in pages.strings(path)
        for option in OPTION.findall(text)
        if option not in command_options() | FOREIGN
    }
    assert unknown == set()


@every_page
def test_every_line_that_calls_melaudit_has_options_of_that_command(name: str) -> None:
    for words in pages.command_lines(name, "melaudit"):
        command: click.Command = cli
        while isinstance(command, click.Group) and words and words[0].isidentifier():
            assert words[0] in command.commands, f"{name}: melaudit {words[0]}"
            command = command.commands[words.pop(0)]
        given = {option for word in words for option in OPTION.findall(word)}
        assert given <= reference.option_names(command), f"{name}: melaudit {words}"


@every_page
def test_every_line_that_calls_a_benchmark_has_options_of_that_benchmark(name: str) -> None:
    for words in pages.command_lines(name, "python -m"):
        package, _, module = words[0].partition(".")
        if package != "benchmarks":
            continue
        place = ROOT.joinpath("benchmarks", *module.split("."))
        path = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
        assert path.is_file(), f"{name}: {words[0]}"
        ours, _, rest = " ".join(words[1:]).partition(" -- ")
        assert set(OPTION.findall(ours)) <= script_options(path)
        assert set(OPTION.findall(rest)) <= command_options()


@every_page
def test_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[0] for words in pages.command_lines(name, "make")} <= targets


@every_page
def test_every_block_of_toml_holds_settings_that_are_known(name: str) -> None:
    for block in pages.blocks(name):
        if not re.match(r'\[|\w+ = ["\[{\d]', block):
            continue
        table = tomllib.loads(block)
        if "project" in table:
            groups = re.findall(r'^(?:GROUP|ENTRY_POINTS) = "(.+)"', source(), re.M)
            assert set(table["project"]["entry-points"]) <= set(groups)
        elif "data" in table:
            stated(typed(table, name).get("intended_use", {}))
        else:
            parse_policy(table, name)


@every_page
def test_every_python_name_exists(name: str) -> None:
    dotted = re.findall(r"(?<![\w./-])melaudit(?:\.[A-Za-z_]\w*)+(?![\w/-])", pages.text(name))
    for path in set(dotted) - {"melaudit.toml"}:
        assert resolves(path), f"{name}: {path}"


@every_page
def test_every_import_in_an_example_works(name: str) -> None:
    for block in pages.blocks(name):
        for module, names in re.findall(
            r"^from (melaudit[\w.]*) import (.+)$", block, re.MULTILINE
        ):
            for each in names.split(", "):
                assert resolves(f"{module}.{each}"), f"{name}: {module}.{each}"


@every_page
def test_every_file_of_the_project_that_is_named_is_there(name: str) -> None:
    """A path may hold a * and may end in a folder's slash."""
    named = [*pages.spans(name), *(w for block in pages.blocks(name) for w in block.split())]
    for path in {word.strip(",;:.()") for word in named if "/" in word and " " not in word}:
        ours = path.split("/")[0] in FOLDERS or path.endswith(".py")
        if ours and "://" not in path:
            assert path == "file.py" or [*ROOT.glob(path.rstrip("/"))], f"{name}: {path}"


@every_page
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    for file, heading in pages.links(name):
        assert file.exists(), f"{name}: {file}"
        assert not heading or heading in pages.headings(file), f"{name}: {file}#{heading}"


@every_page
def test_every_name_in_backticks_stands_in_the_code(name: str) -> None:
    """Whatever looks like a name: `dark_ring`, `Explainer.lrp`, `exclusive`."""
    words = {
        word
        for span in pages.spans(name)
        if not (ROOT / span).exists()
        for word in span.removesuffix("(...)").split(".")
        if re.fullmatch(r"[A-Za-z_][\w.]*(\(\.\.\.\))?", span)
    }
    unknown = {word for word in words if not re.search(rf"\b{word}\b", source())}
    assert unknown == set()


def written_for(library: str, parts: list[str]) -> str:
    """Return the source of a module of ours that needs a library which is not here; else ""."""
    path = ROOT.joinpath(*parts).with_suffix(".py")
    return path.read_text(encoding="utf-8") if path.is_file() and library != "melaudit" else ""


def resolves(path: str) -> bool:
    """Tell whether a dotted name is a module, or a name in one."""
    parts = path.split(".")
    for i in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:i]))
        except ImportError as error:
            if ours := written_for(error.name or "", parts[:i]):
                return len(parts) == i or bool(re.search(rf"^class {parts[i]}\b", ours, re.M))
            continue
        for part in parts[i:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
