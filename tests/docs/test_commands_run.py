"""Every command of the documents is run, in order and in one folder, as a reader would; so is every
example of Python in the README, of `docs/python.md` and of the pages for users of other packages.

What is not run is named, with the reason. One audit is made, of very few images, and one in Python;
any other `melaudit run` makes its settings, model and images fit each other, and ends there.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import melaudit
from melaudit.audit.prepare.preparation import prepare
from melaudit.cli import main
from tests.docs import pages

NOT_RUN = {
    r"make ": "installs everything; `make test` runs this, test_demo_runs.py makes a demo",
    r"pip |python3 -m venv|\. \.venv": "tests/test_packaging.py installs the package",
    r"docker |torchrun |srun ": "needs a container engine, or several machines",
    r"echo |.*efficientnet-lite0": "its packages and weights belong to the extra `bench`",
    r"eval ": "tests/cli/test_first_minutes.py asks for what the shell would be given",
    r"(\w+=\S+ )?python -m benchmarks\.": "takes minutes to days; test_benchmarks.py starts it",
    r"python -m tests\.(hostile|fuzz|faults)|pytest ": "tests of that folder are of the same cases",
    r"python -m tests\.soak": "takes hours",
    r"OMP_WAIT_POLICY=PASSIVE python": "measures seconds",
    r"melaudit (demo|mitigate)": "trains a model: test_demo_runs.py does both",
    r"melaudit run .*(--processes|--engine-address)|melaudit worker": "tests/audit/engines does",
    r"melaudit run .*(train-image\.hdf5|shards/|s3://)": "tests/images/containers and storage do",
    r"melaudit run \.\.\.": "its dots stand for a whole command",
    r"melaudit .*(\[OPTIONS\])": "says how a command is called",
}
"""How commands begin that are not run, and why."""
GIVEN = {"docs/checkpoints.md", "docs/data.md"}
"""Pages that test_generated.py makes anew: it reads each form, and runs those that are refused."""
RUN = [name for name in pages.FILES if name not in {*GIVEN, "CHANGELOG.md"}]
PYTHON = {"README.md", "docs/python.md", *(n for n in RUN if n.startswith("docs/coming-from/"))}
"""Pages whose Python is run as well; docs/pipelines.md has a test of its own."""
OTHERS = {"captum", "pytorch_grad_cam", "cleanvision", "corelay"}
"""Packages that examples compare with and that need not be here."""
PROGRAM = re.compile(
    r"(?:[A-Z_]+=\S+ )?(melaudit|make|pip|pytest|python3?|docker|torchrun|srun|echo|eval|\.) "
)
FIRST = "run --model ckpt.pt --data images/ --image-size 224 --positive malignant --out audit"
"""The command of the README: the one audit that is made."""
QUICK = """
check_images = 1
composite = "epsilon_plus_flat"
corruption_images = 0
edits = 0
workers = 0
"""
"""What makes an audit quick; a composite that is named is not replaced."""


@dataclass
class Reader:
    """Somebody who does in a folder what a page says."""

    folder: Path
    known: dict[str, Any] = field(default_factory=dict)
    """Names of the Python of this page."""
    lost: set[str] = field(default_factory=set)
    """Names and files that were to come from what could not be run."""
    without: set[str] = field(default_factory=set)
    """Packages that are not here."""
    ran_before: list[list[str]] = field(default_factory=list)
    """Commands that other pages have as well."""

    def shell(self, block: str) -> None:
        """Run each command of a block that is to be run."""
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if not words or reason(line) or self.lost.intersection(words):
                continue
            assert words[0] == "melaudit", f"neither run nor left out for a reason: {line}"
            self.melaudit(words[1:])

    def melaudit(self, words: list[str]) -> None:
        """Run one command: it succeeds, and one that judges may also fail or be inconclusive."""
        settings = self.folder / "melaudit.toml"
        if words in self.ran_before:
            return
        self.ran_before.append([*words])
        if words[0] == "init":  # for a folder without settings; what makes it quick is added
            settings.unlink()
            shutil.rmtree(self.folder / "weights", ignore_errors=True)  # it is for one checkpoint
            (self.folder / "labels.csv").unlink(missing_ok=True)  # and one set of images
        judges = words[0] in ("run", "gate")
        again = words[0] == "run" and (self.folder / "audit" / "manifest.json").exists()
        assert main([*words, *["--dry-run"] * again]) in ((0, 1, 3) if judges else (0,)), words
        if words[0] == "init":
            settings.write_text(QUICK + settings.read_text())

    def python(self, block: str) -> None:
        """Run a block of Python, unless it needs what is not here."""
        tree = ast.parse(block)
        absent = {name for name in imported(tree) & OTHERS if not importlib.util.find_spec(name)}
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        if absent or used & self.lost:
            self.without |= absent
            self.lost |= {*made(tree)}
            return
        exec(block, self.known)


def imported(tree: ast.AST) -> set[str]:
    """Return the packages that code imports."""
    froms = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    return {name.partition(".")[0] for name in froms | names}


def made(tree: ast.AST) -> Iterator[str]:
    """Yield the names that code gives to something, and the texts in it, which may name files."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def reason(line: str) -> str | None:
    """Return why a command is not run; None for one that is."""
    return next((why for begins, why in NOT_RUN.items() if re.match(begins, line)), None)


def is_python(block: str) -> bool:
    """Tell a block of Python from one of TOML, YAML or a drawing."""
    if re.match(r"\[|\w+ = [\"\[{\d]", block):
        return False
    try:
        ast.parse(block)
    except SyntaxError:
        return False
    return bool(re.search(r"^(import|from|with|def|\w+ = )", block, re.M))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a reader whose working folder has what the pages speak of."""
    timm = pytest.importorskip("timm")
    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (folder / "images" / name).mkdir(parents=True)
        for i, image in enumerate(rng.integers(60, 200, (8, 48, 48, 3), np.uint8)):
            Image.fromarray(image).save(folder / "images" / name / f"{name}{i}.png")
    torch.manual_seed(0)
    small = timm.create_model("test_resnet", num_classes=2)
    torch.save(small.state_dict(), folder / "ckpt.pt")
    (policy,) = [block for block in pages.blocks("docs/after.md") if block.startswith("fail_on")]
    (folder / "policy.toml").write_text(policy)
    (folder / "melaudit.toml").write_text(QUICK + 'model = "ckpt.pt"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
        patch.setattr("melaudit.cli.auditing._plan", prepare)
        patch.setattr("webbrowser.open", lambda page: True)
        quick: dict[str, Any] = {"check_images": 1, "corruption_images": 0, "edits": 0}
        quick |= {"composite": "epsilon_plus_flat", "progress": False}
        once = functools.cache(functools.partial(melaudit.audit, **quick))
        patch.setattr(melaudit, "audit", once)
        assert main(shlex.split(FIRST)) == 3
        assert f"    melaudit {FIRST}\n" in pages.text("README.md")
        for name in ("audit-v1", "audit-v2"):  # what `diff` and `gate` are shown with
            shutil.copytree(folder / "audit", folder / name)
        yield Reader(folder)


def own_weights(folder: Path) -> None:
    """Write what docs/start.md speaks of: a table, a network and its weights, others of timm."""
    files = sorted((folder / "images").rglob("*.png"))
    rows = [f"{path.relative_to(folder / 'images')},{path.parent.name}" for path in files]
    (folder / "labels.csv").write_text("\n".join(["image,label", *rows]))
    (net,) = [block for block in pages.blocks("docs/start.md") if "def build" in block]
    (folder / "net.py").write_text(net)
    known: dict[str, Any] = {}
    exec(net, known)
    (folder / "weights").mkdir(exist_ok=True)
    torch.save(known["build"]().state_dict(), folder / "weights" / "own.pt")
    shutil.copy(folder / "ckpt.pt", folder / "weights" / "timm.pt")


@pytest.mark.parametrize("page", RUN)
def test_what_a_page_says_runs(page: str, reader: Reader) -> None:
    torch.manual_seed(0)
    reader = replace(reader, known={}, lost=set(), without=set())
    if page == "docs/start.md":
        own_weights(reader.folder)
    if page == "docs/python.md":
        model = torchvision.models.resnet18(num_classes=2).eval()
        reader.known |= {"model": model, "x": torch.rand(2, 3, 64, 64)}
    for block in pages.blocks(page):
        if PROGRAM.match(block):
            reader.shell(block)
        elif page in PYTHON and is_python(block):
            reader.python(block)
    if reader.without:
        pytest.skip(f"all but what needs {', '.join(sorted(reader.without))} ran")


@pytest.mark.parametrize("page", RUN)
def test_the_whole_commands_in_its_text_run(page: str, reader: Reader) -> None:
    for words in in_prose(page):
        image = "images/benign/benign0.png"
        reader.melaudit([image if word == "IMAGE" else word for word in words])


def in_prose(page: str) -> Iterator[list[str]]:
    """Yield the commands between the words of a page that name all that they need."""
    for span in pages.spans(page):
        words: Sequence[str] = span.split()[1:] if span.startswith("melaudit ") else ()
        if words and words[0] in ("doctor", "explain", "scan") and len(words) > 1:
            yield [*words]


def test_every_way_not_to_run_a_command_is_used_and_has_a_reason() -> None:
    lines = [
        line
        for page in RUN
        for block in pages.blocks(page)
        if PROGRAM.match(block)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    assert len(lines) > 60
    unused = {begins for begins in NOT_RUN if not any(re.match(begins, line) for line in lines)}
    assert unused == set() and all(NOT_RUN.values())
