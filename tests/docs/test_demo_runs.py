"""The demo of the documents, with fewer and smaller images, and what they do with its finding."""

import shlex
from pathlib import Path

import pytest

from melaudit.cli import main
from melaudit.demo import recipe
from melaudit.demo.recipe import Recipe
from tests.docs import pages

SMALL = Recipe(200, 240, ring_malignant=0.5, ring_benign=0.04, image_size=32, epochs=6)
"""Half of the malignant images are ring-free: a proof needs thirty that no edit was tried on."""


def commands(page: str, begins: str) -> list[list[str]]:
    """Return the words of the commands of a page that begin so."""
    lines = [line for block in pages.blocks(page) for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(begins)]


@pytest.mark.timeout(900)  # a minute of processor time: it trains a model and audits it
def test_the_demo_is_made_its_ring_found_and_mended_as_the_documents_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe, "QUICK", SMALL)
    (demo,) = commands("docs/start.md", "melaudit demo")
    assert main(demo) == 0
    assert "The planted ring was found." in capsys.readouterr().err
    assert Path("demo/audit/report.html").is_file()  # where start.md says that it is
    monkeypatch.chdir("demo")
    asked = [c for p in ("after", "mitigation") for c in commands(f"docs/{p}.md", "melaudit miti")]
    assert [command[-2:] for command in asked] == [
        ["--out", "fixed.safetensors"],
        ["--out", "fixed.safetensors"],
        ["--export", "next"],
    ]
    assert asked[0] == asked[1]
    assert main(asked[0]) in (0, 1)  # 1: reduced, at a cost to a group of images
    assert "reduced from" in " ".join(capsys.readouterr().err.split())
    assert main(asked[2]) == 0
    assert Path("fixed.safetensors").is_file() and Path("audit/mitigation.html").is_file()
    assert Path("next/weights.csv").is_file() and Path("next/README.md").is_file()
