"""`melaudit policy`: policies are checked before an audit is held against them."""

from pathlib import Path

import pytest

from melaudit.cli import main

WAIVER = """
[[waiver]]
finding = "dark_ring*"
owner = "A. Author"
reason = "retraining is under way"
expires = {expires}
"""


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_policies_in_order_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = written(
        tmp_path, "good.toml", 'fail_on = "high"\n' + WAIVER.format(expires="9999-01-31")
    )
    empty = written(tmp_path, "empty.toml", "")
    assert main(["policy", good, empty]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [f"{good}: in order, with 1 waiver", f"{empty}: in order, with 0 waivers"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('fail_om = "high"', "did you mean"),
        ("fail_on = ", "not valid TOML"),
        ("[coverage]\nmax_skipped = 2", "max_skipped"),
        ("[[waiver]]\nfinding = 'x'", "owner"),
    ],
)
def test_a_mistake_is_refused_whatever_else_is_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    good, bad = written(tmp_path, "a.toml", ""), written(tmp_path, "b.toml", text)
    assert main(["policy", good, bad]) == 2
    heard = capsys.readouterr()
    assert said in heard.err and "b.toml" in heard.err
    assert heard.out == ""


def test_a_waiver_whose_time_is_over_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over = written(tmp_path, "over.toml", WAIVER.format(expires="2001-01-31"))
    assert main(["policy", over]) == 1
    said = "the waiver of dark_ring* by A. Author expired on 2001-01-31"
    assert said in " ".join(capsys.readouterr().err.split())


def test_no_policy_is_a_usage_error() -> None:
    assert main(["policy"]) == 2
