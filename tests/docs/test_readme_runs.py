"""Every command and every example of the README, run in order in one folder, as a reader would.

What cannot be run here is named, with the reason. The audits are of very few images.
"""

from __future__ import annotations

import functools
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import melaudit
from melaudit.cli import main
from tests.docs import pages

PAGE = "README.md"
LEFT_OUT = {
    "make": "installs everything; `make test` runs this, and tests/demo makes a demo",
    "pip": "tests/test_packaging.py installs the package",
    "echo": "the example of EfficientNet: its packages belong to the extra `bench`",
    "eval": "tests/cli/test_first_minutes.py asks for what the shell would be given",
}
"""Programs whose lines are not run."""
ELSEWHERE = ("mitigate",)
"""Commands that need an audit with a proven finding; their own tests run them on one."""
NEEDS_BENCH = "efficientnet-lite0-57934424.pth"
QUICK = """
factory = "net.py:build"
check_images = 1
corruption_images = 0
edits = 0
workers = 0
"""
"""What makes an audit quick, and what builds a model that no architecture is named like."""
IN_PROSE = ("doctor", "explain", "scan", "detectors")
"""Commands that stand in the text."""


class Net(nn.Sequential):
    """A model so small that an audit of it is quick."""

    def __init__(self) -> None:
        layers = nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.Conv2d(4, 20, 3, 2), nn.ReLU()
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 2))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a checkpoint and images, as the working folder."""
    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (folder / "images" / name).mkdir(parents=True)
        for i, image in enumerate(rng.integers(60, 200, (8, 48, 48, 3), np.uint8)):
            Image.fromarray(image).save(folder / "images" / name / f"{name}{i}.png")
    torch.manual_seed(0)
    torch.save(Net().state_dict(), folder / "ckpt.pt")
    code = "from tests.docs.test_readme_runs import Net as build\n"
    (folder / "net.py").write_text(code)
    (folder / "melaudit.toml").write_text(QUICK)
    (policy,) = [block for block in pages.blocks(PAGE) if block.startswith("fail_on")]
    (folder / "policy.toml").write_text(policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
        patch.setattr("webbrowser.open", lambda page: True)
        yield folder


def lines(block: str) -> list[list[str]]:
    """Return the words of each line of a block, those that go on in the next one joined."""
    return [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]


def run(words: list[str], place: Path) -> None:
    """Run one command: it succeeds, and one that judges may also fail or be inconclusive."""
    judges = words[0] in ("run", "gate")
    if words[0] == "init":  # for a folder without settings; what makes it quick is added
        (place / "melaudit.toml").unlink()
    assert main(words) in ((0, 1, 3) if judges else (0,)), words
    if words[0] == "init":
        text = (place / "melaudit.toml").read_text()
        (place / "melaudit.toml").write_text(f"{QUICK}{text}")
    if words[0] == "run" and (place / "audit" / "manifest.json").exists():
        for name in ("audit-v1", "audit-v2"):  # what `diff` and `gate` are shown with
            shutil.copytree(place / "audit", place / name, dirs_exist_ok=True)


def test_every_command_of_the_readme_runs(place: Path) -> None:
    ran = []
    for block in pages.blocks(PAGE):
        for words in lines(block) if "melaudit " in block and "import" not in block else []:
            if words[:1] == ["melaudit"] and not {NEEDS_BENCH, *ELSEWHERE} & set(words):
                run(words[1:], place)
                ran.append(words[1])
            else:
                assert not words or words[0] in (*LEFT_OUT, "melaudit"), words
    assert {"init", "doctor", "run", "report", "diff", "gate", "record", "export"} <= set(ran)
    assert (place / "audit" / "report-no-images.html").is_file()
    assert (place / "diff.html").is_file() and (place / "junit.xml").is_file()
    assert [*place.glob("audit-ckpt-*/report.html")]


def test_the_commands_in_its_text_run(place: Path) -> None:
    for words in pages.command_lines(PAGE, "melaudit"):
        if (words[0] in IN_PROSE and len(words) != 1) or words == ["detectors"]:
            run(
                [str(place / "images/benign/benign0.png") if w == "IMAGE" else w for w in words],
                place,
            )
    assert (place / "benign0-explained.png").is_file()


def test_its_examples_of_python_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick: dict[str, Any] = {"check_images": 1, "corruption_images": 0, "edits": 0}
    quick |= {"factory": "net.py:build", "progress": False}
    monkeypatch.setattr(melaudit, "audit", functools.partial(melaudit.audit, **quick))
    torch.manual_seed(0)
    known: dict[str, Any] = {"model": Net().eval(), "x": torch.rand(2, 3, 64, 64)}
    ran = 0
    for block in pages.blocks(PAGE):
        starts = ("import melaudit", "from melaudit", "findings =", "with Explainer")
        if block.startswith(starts):
            exec(block, known)
            ran += 1
    assert ran == 4
    assert known["findings"].verdict in melaudit.Verdict
    assert known["maps"].shape == (2, 64, 64) and known["channels"].shape == (2, 6)
