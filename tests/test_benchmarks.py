"""Benchmarks measure nothing here, but each of them imports and says how it is called."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
LIBRARIES = {"lxt_maps", "pictures", "rivals", "small_models"}
"""What benchmarks share; no commands."""
MODULES = {path.stem: f"benchmarks.{path.stem}" for path in FOLDER.glob("*.py")}
MODULES |= {
    path.parent.name: f"benchmarks.{path.parent.name}.__main__"
    for path in FOLDER.glob("*/__main__.py")
}
NAMES = sorted(MODULES.keys() - LIBRARIES)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_says_how_it_is_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as left:
        importlib.import_module(MODULES[name]).main()
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m benchmarks.{name} ")
