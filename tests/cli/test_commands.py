"""The command line: every mistake is one line and a code."""

import os
import pickle
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from melaudit.audit.prepare.configuration import Configuration
from melaudit.choices import EngineName
from melaudit.cli import cli, main
from melaudit.cli.options import FIRST
from melaudit.findings import Severity
from melaudit.settings import Topic, settings_of


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("benign", "malignant"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (40, 40), (i * 20, 90, 90)).save(
                tmp_path / "images" / name / f"{i}.png"
            )
    return tmp_path / "images"


class Payload:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was said on stderr as an error: its last line, and no traceback."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    line = err.strip().splitlines()[-1]
    assert line.startswith("melaudit: ")
    return line


def test_a_missing_checkpoint_is_one_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.pt"
    assert main(["run", "--model", str(missing), "--data", str(images)]) == 2
    assert "none.pt" in said(capsys)


@pytest.mark.parametrize("severity", list(Severity))
def test_a_severity_is_named_on_the_command_line_as_everywhere_else(
    severity: Severity, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(tmp_path / "none.pt"), "--data", str(images)]
    assert main(["run", *model, "--fail-on", severity.value]) == 2
    assert "none.pt" in said(capsys)  # and not: no such severity


def test_a_text_file_named_pt_is_one_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pt").write_text("404 Not Found")
    assert main(["run", "--model", str(tmp_path / "a.pt"), "--data", str(images)]) == 2
    assert "text" in said(capsys)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Payload(mark)))
    assert main(["run", "--model", str(tmp_path / "evil.pt"), "--data", str(images)]) == 2
    assert "system" in said(capsys)
    assert not mark.exists()


def test_convert_needs_to_be_told_that_the_file_is_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(tmp_path / "a.pt"), str(tmp_path / "b.safetensors")]) == 2
    assert "--i-trust-this-file" in said(capsys)


def test_without_data_the_error_says_what_to_add(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--model", "ckpt.pt"]) == 2
    assert 'data = "path/to/images"' in said(capsys)
    assert main(["run"]) == 2
    assert "--model" in said(capsys)


def test_an_unknown_option_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_an_error_of_ours_is_code_4_and_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from melaudit.detectors import registry

    def broken(_: object) -> None:
        raise ZeroDivisionError("oh \x1b[31mred")

    monkeypatch.setattr(registry, "detectors", broken)
    assert main(["detectors"]) == 4
    err = capsys.readouterr().err
    assert "MELAUDIT_TRACEBACK" in err
    assert "\x1b" not in err


def test_severities_are_given_as_they_are_written_everywhere() -> None:
    (option,) = [p for p in cli.commands["run"].params if p.name == "fail_on"]
    for severity in Severity:
        assert option.type.convert(severity.value, option, None) == severity


def test_every_engine_can_be_chosen() -> None:
    for command in ("run", "doctor", "explain"):
        (option,) = [p for p in cli.commands[command].params if p.name == "engine"]
        assert isinstance(option.type, click.Choice)
        assert tuple(option.type.choices) == tuple(EngineName)


def test_every_setting_is_an_option_under_its_topic_and_told_with_its_default() -> None:
    shown = CliRunner().invoke(cli, ["run", "--help"]).output
    headings = [line[:-1] for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [FIRST, *Topic, "Gate", "Output", "Help"]
    told = " ".join(shown.split())
    for setting in settings_of(Configuration).values():
        if setting.about.option:
            assert re.search(rf"--{setting.name.replace('_', '-')}[ ,]", told)
            assert setting.about.help in told
    assert "Images at a time. [default: 16]" in told
    assert "[default: 0.01; 0 to 1]" in told


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("OMP_WAIT_POLICY", "PASSIVE", "ACTIVE"),
        ("ARROW_DEFAULT_MEMORY_POOL", "system", "mimalloc"),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_threads_sleep_and_memory_goes_back_unless_the_user_says_otherwise(
    name: str, ours: str, theirs: str, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, theirs)
    if not given:
        monkeypatch.delenv(name)
    assert main(["--version"]) == 0
    assert os.environ[name] == (theirs if given else ours)


@pytest.mark.parametrize(("command", "goes_on"), [("run", True), ("doctor", False)])
def test_only_what_keeps_its_work_says_that_it_goes_on(
    command: str,
    goes_on: bool,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.commands[command], "invoke", interrupted)
    assert main([command, "--model", "none.pt", "--data", str(images)]) == 130
    assert ("goes on where it stopped" in said(capsys)) is goes_on
