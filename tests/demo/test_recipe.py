"""A demo is made whole, used again when it is the same, and never overwrites anything else."""

import json
from pathlib import Path

import pytest

from melaudit.audit.prepare.configuration import configure
from melaudit.demo.recipe import Recipe, build, write_settings
from melaudit.errors import StoreError

TINY = Recipe(16, 8, ring_malignant=0.5, ring_benign=0.0, image_size=32, epochs=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "new" / "demo"
    build(out, TINY, seed=0)
    return out


def times(out: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def test_the_settings_are_all_that_an_audit_needs(made: Path) -> None:
    configuration = configure({"model": made / "ckpt.pt"}, folder=Path("/nowhere"))
    assert configuration.data == made / "test"
    assert configuration.out == made / "audit"
    assert configuration.classes == ("benign", "malignant")
    assert configuration.positive == "malignant"
    assert configuration.image_size == 32


def test_settings_can_be_written_for_another_size(tmp_path: Path) -> None:
    write_settings(tmp_path, image_size=96)
    assert configure({"model": tmp_path / "ckpt.pt"}).image_size == 96


def test_the_same_demo_is_used_again(made: Path) -> None:
    before, lines = times(made), list[str]()
    (made / "audit").mkdir(exist_ok=True)
    result = build(made, TINY, seed=0, progress=lines.append)
    assert times(made) == before
    assert len(lines) == 1 and "used again" in lines[0]
    assert result.checkpoint.is_file() and result.settings.is_file()
    assert result.training.epochs == 1 and result.training.seconds > 0


@pytest.mark.parametrize("lost", ["ckpt.pt", "test/benign/benign_00000.jpg"])
def test_a_demo_that_lost_a_file_is_made_again(made: Path, lost: str) -> None:
    kept = (made / lost).read_bytes()
    (made / lost).unlink()
    build(made, TINY, seed=0)
    assert (made / lost).read_bytes() == kept or lost == "ckpt.pt"
    assert (made / lost).is_file()


def test_an_unfinished_demo_is_made_again(tmp_path: Path) -> None:
    def stop(text: str) -> None:
        if "training" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, TINY, seed=0, progress=stop)
    assert json.loads((tmp_path / "demo.json").read_text())["complete"] is False
    result = build(tmp_path, TINY, seed=0)
    assert json.loads((tmp_path / "demo.json").read_text())["complete"] is True
    assert result.checkpoint.is_file()


def test_other_parameters_replace_the_demo_and_spare_other_files(tmp_path: Path) -> None:
    build(tmp_path, TINY, seed=0)
    first = (tmp_path / "train/benign/benign_00000.jpg").read_bytes()
    (tmp_path / "mine.txt").write_text("keep")
    smaller = Recipe(8, 4, ring_malignant=0.5, ring_benign=0.0, image_size=32, epochs=1)
    build(tmp_path, smaller, seed=1)
    assert (tmp_path / "train/benign/benign_00000.jpg").read_bytes() != first
    assert len(list((tmp_path / "train").rglob("*.jpg"))) == 8
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "precious.jpg").write_bytes(b"x")
    with pytest.raises(StoreError, match="new or empty folder"):
        build(tmp_path, TINY, seed=0)
    assert (tmp_path / "train" / "precious.jpg").read_bytes() == b"x"


@pytest.mark.parametrize("content", ["", "[]", '{"other": 1}', "\udc00"])
def test_a_foreign_demo_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "demo.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(StoreError, match=r"demo\.json is not a demo's"):
        build(tmp_path, TINY, seed=0)


def test_a_file_in_the_place_of_the_folder_is_an_error_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(StoreError, match="cannot be made"):
        build(tmp_path / "demo", TINY, seed=0)
