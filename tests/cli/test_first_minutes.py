"""The first minutes with the command line: what is wrong is told before torch is imported."""

import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from melaudit.cli import cli, main
from melaudit.cli.application import COMMANDS, first_sentence
from melaudit.cli.options import FIRST, GroupedOption
from tests.docs import pages

SLOW_TO_IMPORT = ("torch", "torchvision", "scipy", "sklearn", "pandas", "pyarrow", "cv2", "zennit")
"""Packages that take seconds; what needs none of them is told at once."""


def words(text: str) -> str:
    return " ".join(text.split())


def said(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_help_and_mistakes_are_told_without_what_is_slow_to_import(tmp_path: Path) -> None:
    asked = [
        ["--help"],
        ["run", "--help"],
        ["gate", "--help"],
        ["run", "--nonsense"],
        ["rnu"],
        ["run"],
        ["run", "--model", "none.pt", "--data", "."],
        ["run", "--model", "net.onnx", "--data", "."],
        ["run", "--model", "text.pt", "--data", "nothing"],
        ["doctor", "--model", "none.pt", "--data", "."],
        ["explain", "none.png", "--model", "text.pt"],
    ]
    for name in ("net.onnx", "text.pt"):
        (tmp_path / name).write_bytes(b"\x08\x07\x12\x07pytorch")
    code = (
        "import sys; from melaudit.cli import main\n"
        f"codes = [main(line) for line in {asked!r}]\n"
        f"print(codes, [name for name in {SLOW_TO_IMPORT!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == f"{[0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2]} []"


def test_every_command_stands_under_a_heading_with_its_whole_sentence() -> None:
    shown = words(CliRunner().invoke(cli, ["--help"], terminal_width=80).output)
    assert {c.name for commands in COMMANDS.values() for c in commands} == set(cli.commands)
    for heading, commands in COMMANDS.items():
        assert f"{heading}:" in shown
        for command in commands:
            assert f"{command.name} {first_sentence(command)}" in shown


def test_ten_settings_stand_first() -> None:
    run = cli.commands["run"]
    first = [p.name for p in run.params if isinstance(p, GroupedOption) and p.heading == FIRST]
    assert len(first) == 10
    assert [p.name for p in run.params][:10] == first
    assert {"model", "data", "out"} <= set(first)


def test_a_name_much_like_the_one_given_is_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ckpt.pt").write_text("x")
    (tmp_path / "images").mkdir()
    there, model = str(tmp_path / "images"), str(tmp_path / "ckpt.pt")
    assert main(["run", "--model", f"{tmp_path}/chkpt.pt", "--data", there]) == 2
    assert said(capsys).endswith(f"did you mean {model}?")
    assert main(["run", "--model", model, "--data", f"{tmp_path}/imgaes"]) == 2
    assert said(capsys).endswith(f"did you mean {there}?")
    assert main(["run", "--model", model, "--data", there, "--train-data", "none"]) == 2
    assert "none does not exist; expected a folder or table of training images" in said(capsys)
    assert main(["run", "--model", model, "--data", there, "--factory", "none.py:build"]) == 2
    assert "none.py does not exist" in said(capsys)


@pytest.mark.parametrize(
    ("name", "content", "what", "way_out"),
    [
        ("net.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX model", "exported from"),
        ("graph.pb", b"\n\x0f\n\x05input", "a TensorFlow graph", "rebuild the network"),
        ("net.keras", b"", "Keras", "rebuild the network"),
        ("net.h5", b"\x89HDF\r\n\x1a\n", "Keras", "rebuild the network"),
        ("net.pt", b"\x89HDF\r\n\x1a\n", "HDF5", "rebuild the network"),
        ("net.tflite", b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite", "rebuild the network"),
        ("net.mlmodel", b"\x08\x04\x12\x05", "a CoreML model", "exported from"),
    ],
)
def test_models_of_other_frameworks_are_refused_by_name_with_the_way_out(
    name: str,
    content: bytes,
    what: str,
    way_out: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / name
    model.write_bytes(content)
    if name.endswith(".keras"):
        with zipfile.ZipFile(model, "w") as archive:
            archive.writestr("model.weights.h5", "")
    assert main(["run", "--model", str(model), "--data", str(tmp_path)]) == 2
    line = said(capsys)
    assert what in line and way_out in line and "--factory FILE.py:FUNCTION" in line


def test_folders_of_other_frameworks_are_refused_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\n")
    (tmp_path / "net.mlpackage").mkdir()
    for name, what in (("saved", "a TensorFlow graph"), ("net.mlpackage", "a CoreML model")):
        assert main(["run", "--model", str(tmp_path / name), "--data", str(tmp_path)]) == 2
        assert what in said(capsys)


def test_a_checkpoint_may_have_the_name_of_another_framework(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "net.h5")
    assert main(["run", "--model", str(tmp_path / "net.h5"), "--data", str(tmp_path)]) == 2
    assert "Keras" not in capsys.readouterr().err


def test_a_layer_that_is_not_there_is_told_before_any_image_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    torch.save(net.state_dict(), "net.pt")
    Path("net.py").write_text(
        "from torch.nn import AdaptiveAvgPool2d, Flatten, Linear, Sequential\n"
        "build = lambda: Sequential(AdaptiveAvgPool2d(2), Flatten(), Linear(12, 2))\n"
    )
    Path("data").mkdir()  # without an image, which would be told next
    model = ["--model", "net.pt", "--factory", "net.py:build", "--data", "data"]
    assert main(["run", *model, "--layer", "22", "--out", "out"]) == 2
    assert "the model has no layer '22'; did you mean 2" in capsys.readouterr().err
    assert not Path("out").exists()


def test_mistakes_in_options_are_usage_errors() -> None:
    shown = CliRunner().invoke(cli, ["run", "--modle", "x"])
    assert shown.exit_code == click.UsageError.exit_code
    assert "--model" in shown.output


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("melaudit ru", "run"),
        ("melaudit run --ima", "--image-size"),
        ("melaudit gate --pol", "--policy"),
    ],
)
def test_a_shell_completes_commands_and_options(
    line: str,
    offered: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("_MELAUDIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert f"plain,{offered}" in capsys.readouterr().out.splitlines()


def test_the_line_of_the_readme_makes_a_shell_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = [
        line
        for block in pages.blocks("docs/running.md")
        for line in block.splitlines()
        if "_source" in line
    ]
    variable, _, asked = line.partition("$(")[2].partition(" ")[0].partition("=")
    monkeypatch.setenv(variable, asked)
    with pytest.raises(SystemExit):
        main([])
    assert "complete -o nosort -F _melaudit_completion melaudit" in capsys.readouterr().out
