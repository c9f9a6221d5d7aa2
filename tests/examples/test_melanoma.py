"""The report of examples/melanoma is made again, on a few images with small networks."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from tests.docs.pages import ROOT

EXAMPLE = ROOT / "examples" / "melanoma"
MAX_NOTEBOOK_BYTES = 500_000


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the script as one that lies beside its networks."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setenv("MELANOMA_SMALL", "1")
    yield importlib.import_module("replay")
    for name in ("replay", "networks"):
        sys.modules.pop(name, None)


def test_every_section_is_made(replay: ModuleType, tmp_path: Path) -> None:
    case = replay.generated(tmp_path / "out", n_train=64, n_test=12, epochs=3, edits=0, checks=2)
    page = replay.report(case)
    text = page.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[\]\(([^)]+)\)", text)
    assert pictures == ["grad-cam.png", "outcomes.png", "crp.png"]
    for name in pictures:
        assert min(Image.open(page.parent / name).size) > 200
    (compared,) = re.findall(r"\n\[([^]]+)\]\(\1\)", text)
    assert (page.parent / compared).stat().st_size > 10_000
    assert (page.parent / "audit-attention" / "report.html").exists()
    # What leaks through a skip connection is the same in all maps, and far more than a channel has.
    rows = dict(re.findall(r"\| (broken|whole) \| ([\d.e+-]+ \| [\d.e+-]+) \|", text))
    broken, whole = ([float(n) for n in rows[name].split(" | ")] for name in ("broken", "whole"))
    assert broken[0] > 0.999 > whole[0]
    assert broken[1] > 0.1
    assert whole[1] < 1e-4


def test_models_and_data_of_one_s_own_go_together(
    replay: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        replay.main(["--data", "images"])
    assert "go together" in capsys.readouterr().err


def test_the_notebook_was_run_and_uses_what_the_script_has(replay: ModuleType) -> None:
    place = EXAMPLE / "replay.ipynb"
    assert place.stat().st_size < MAX_NOTEBOOK_BYTES
    book = json.loads(place.read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    used = set(re.findall(r"replay\.(\w+)", "".join(map("".join, (c["source"] for c in cells)))))
    assert used
    assert all(hasattr(replay, name) for name in used)
