"""`melaudit init`: settings to begin with, of what a folder shows."""

import shutil
import tomllib
from pathlib import Path

import pytest

from melaudit.audit.prepare.configuration import Configuration, configure, typed
from melaudit.audit.prepare.starter import EXAMPLES
from melaudit.cli import main
from melaudit.settings import settings_of


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a checkpoint and images of two classes."""
    for name in ("malignant", "benign"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.png").touch()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.pt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def without_comments(text: str) -> str:
    """Take the # off every line that is a setting, as a user does."""
    kept = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    return "\n".join(kept)


def test_what_the_folder_shows_is_set_and_a_run_takes_it(project: Path) -> None:
    assert main(["init"]) == 0
    text = (project / "melaudit.toml").read_text()
    assert tomllib.loads(text) == {
        "model": "weights/net.pt",
        "data": "data",
        "classes": ["benign", "malignant"],
        "positive": "malignant",
    }
    made = configure({})
    assert made.model.resolve() == project / "weights" / "net.pt"
    assert made.classes == ("benign", "malignant")


def test_what_stands_there_as_a_comment_is_a_setting_too(project: Path) -> None:
    assert main(["init"]) == 0
    every = tomllib.loads(without_comments((project / "melaudit.toml").read_text()))
    first = {name for name, s in settings_of(Configuration).items() if s.about.first}
    assert set(every) == first
    assert set(EXAMPLES) | {"model", "data"} == first
    typed(every, "melaudit.toml")
    told = (project / "melaudit.toml").read_text()
    assert [name for name in settings_of(Configuration) if name not in told] == []


def test_images_may_be_linked(project: Path) -> None:
    (project / "data").rename(project.parent / "elsewhere")
    (project / "images").symlink_to(project.parent / "elsewhere", target_is_directory=True)
    (project / "loop").symlink_to(project, target_is_directory=True)
    assert main(["init", "--model", "weights/net.pt", "--data", "images"]) == 0
    (project / "loop").unlink()
    assert main(["init", "--force"]) == 0
    found = settings(project)
    assert (found["data"], found["positive"]) == ("images", "malignant")


def test_settings_that_are_there_are_kept(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "melaudit.toml").write_text("seed = 3\n")
    assert main(["init"]) == 2
    assert "--force" in capsys.readouterr().err
    assert (project / "melaudit.toml").read_text() == "seed = 3\n"
    assert main(["init", "--force"]) == 0
    assert "net.pt" in (project / "melaudit.toml").read_text()


def settings(project: Path) -> dict[str, object]:
    return tomllib.loads((project / "melaudit.toml").read_text())


def test_where_several_could_be_meant_alike_they_are_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "data").rename(project / "a")
    shutil.copytree(project / "a", project / "b")
    assert main(["init"]) == 2
    said = capsys.readouterr().err
    assert "several things here could be images: a, b; add --data PATH" in said
    assert not (project / "melaudit.toml").exists()
    assert main(["init", "--data", "b"]) == 0
    assert settings(project)["data"] == "b"


def test_a_table_beside_folders_of_classes_is_told_and_not_taken(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "labels.csv").write_text("image,label\n")
    (project / "train" / "a").mkdir(parents=True)
    (project / "train" / "b").mkdir()
    for name in ("a", "b"):
        (project / "train" / name / "1.png").touch()
    assert main(["init"]) == 0
    assert settings(project)["data"] == "data"
    assert (
        'data = "data"\n# Also here: "train", "labels.csv"\n'
        in (project / "melaudit.toml").read_text()
    )
    assert "Also here: train, labels.csv; --data" in capsys.readouterr().err


@pytest.mark.parametrize(("table", "root"), [("labels.csv", None), ("about/labels.csv", "pics")])
def test_a_table_is_taken_before_the_loose_images_it_is_about(
    project: Path, table: str, root: str | None
) -> None:
    shutil.rmtree(project / "data")
    for name in ("about", "pics"):
        (project / name).mkdir()
    (project / "pics" / "1.png").touch()
    (project / table).write_text("image,label\n")
    assert main(["init"]) == 0
    assert (settings(project)["data"], settings(project).get("image_root")) == (table, root)
    assert "Also here" not in (project / "melaudit.toml").read_text()


def test_what_an_earlier_audit_left_is_not_meant(project: Path) -> None:
    (project / "audit" / "shards").mkdir(parents=True)
    (project / "audit" / "images.parquet").touch()
    assert main(["init"]) == 0


def test_on_a_terminal_it_asks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(project / "data", project / "more")
    asked = []

    def answer(text: str, **_: object) -> int:
        asked.append(text)
        return 2

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.prompt", answer)
    assert main(["init"]) == 0
    assert asked == ["Which one? (--data)"]
    assert settings(project)["data"] == "more"


def test_a_folder_without_a_checkpoint_is_told_what_to_add(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "add --model PATH" in said
