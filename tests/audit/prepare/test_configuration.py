"""Settings: options win over the file, the file over defaults, and errors say what to do."""

from pathlib import Path

import pytest

from melaudit.audit.prepare.configuration import Configuration, as_plain, configure, find_settings
from melaudit.errors import ConfigurationError
from melaudit.findings import Severity


def write(folder: Path, text: str, name: str = "melaudit.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_model_alone_is_enough_with_settings_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "m", 'data = "test"\nclasses = ["a", "b"]\nimage-size = 96\nfail_on = "low"')
    made = configure({"model": tmp_path / "m" / "ckpt.pt", "arch": None}, tmp_path)
    assert made.data == tmp_path / "m" / "test"
    assert made.classes == ("a", "b")
    assert (made.image_size, made.fail_on) == (96, Severity.LOW)


def test_options_win_over_the_file_and_the_checkpoints_folder_over_the_working_folder(
    tmp_path: Path,
) -> None:
    write(tmp_path, 'data = "far"\nseed = 1')
    write(tmp_path / "m", 'data = "near"\nseed = 2')
    made = configure({"model": tmp_path / "m" / "c.pt", "seed": 3}, tmp_path)
    assert (made.data, made.seed) == (tmp_path / "m" / "near", 3)
    assert configure({"model": "c.pt"}, tmp_path).data == tmp_path / "far"


def test_a_run_that_names_no_folder_has_one_by_model_and_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"model": "nets/re snet.v2.pt", "data": "d"}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(86400))
    assert configure(given).out == Path("audit-re-snet-v2-1970-01-02")
    assert configure({**given, "out": "here"}).out == Path("here")
    # What a run of an earlier day began goes on, unless it ended.
    (tmp_path / "audit-re-snet-v2-1970-01-02" / "shards").mkdir(parents=True)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(3 * 86400))
    assert configure(given).out == Path("audit-re-snet-v2-1970-01-02")
    (tmp_path / "audit-re-snet-v2-1970-01-02" / "manifest.json").touch()
    assert configure(given).out == Path("audit-re-snet-v2-1970-01-04")


def test_pyproject_counts_only_with_our_table(tmp_path: Path) -> None:
    write(tmp_path, "[project]\nname = 'x'", "pyproject.toml")
    assert find_settings(None, tmp_path) is None
    write(tmp_path, "[tool.melaudit]\nmodel = 'c.pt'\ndata = 'd'\nmean = [0.5]", "pyproject.toml")
    made = configure({"std": (0.25,)}, tmp_path)
    assert (made.model, made.mean, made.std) == (tmp_path / "c.pt", (0.5,), (0.25,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data = 'd'\nimage_sise = 3", "did you mean 'image_size'"),
        ("data = 'd'\nlimit = 'ten'", "expected int"),
        ("data = 'd'\nlimit = true", "expected int"),
        ("data = 'd'\nlimit = 0", "at least 1"),
        ("data = 'd'\nfail_on = 'bad'", "expected one of info, low"),
        ("data = 'd'\nassets = 'zip'", "expected one of inline, split"),
        ("data = 'd'\narch = 'a'\nfactory = 'b:c'", "name one of them"),
        ("data = 'd'\nmean = [0.5]", "mean and std go together"),
        ("data = 'd'\npositive = 'x'\nclasses = 'a,b'", "not among the classes a, b"),
        ("data = [", "not valid TOML"),
        ("seed = 1", 'data = "path/to/images"'),
    ],
)
def test_a_bad_file_is_one_clear_sentence(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        configure({"model": tmp_path / "c.pt"}, tmp_path)


def test_a_shared_report_names_no_folders() -> None:
    made = Configuration(Path("/home/me/c.pt"), Path("/data/secret/set"), factory="/a/b/m.py:f")
    assert "/" not in str(as_plain(made))
