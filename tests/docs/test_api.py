"""The page of public names is current, whole, and enough to write a package with."""

import ast

import pytest

import melaudit
from melaudit.plugins.package import Kind, files, plugin
from tests.docs import api


def test_the_page_is_the_one_that_make_reference_writes() -> None:
    assert api.PAGE.read_text(encoding="utf-8") == api.page(), (
        "docs/api.md is not current; run: make reference"
    )


def test_every_public_name_is_listed_once_and_says_what_it_is() -> None:
    listed = [*api.public()]
    assert len(listed) == len(set(listed))
    assert {("melaudit", name) for name in melaudit.__all__} <= set(listed)
    lines = [line for line in api.page().splitlines() if line.startswith("* `melaudit.")]
    assert len(lines) > 100
    assert [line for line in lines if not line.partition("`: ")[2]] == []


@pytest.mark.parametrize("kind", Kind)
def test_packages_that_are_written_rely_on_public_names_alone(kind: Kind) -> None:
    public = set(api.public())
    used = {
        (node.module, alias.name)
        for path, text in files(plugin(kind, "mine")).items()
        if path.endswith(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("melaudit.")
        for alias in node.names
    }
    assert used
    modules = {tuple(module.rsplit(".", 1)) for module, _ in public}  # imported as a whole
    private = {
        (module, name)
        for module, name in used - public - modules
        if not (module or "").startswith(f"{api.KINDS}.")
    }
    assert private == set()
