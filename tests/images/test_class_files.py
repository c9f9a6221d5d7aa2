"""Class names from a file: one a line, or JSON."""

import json
from pathlib import Path

import pytest

from melaudit.audit.prepare.configuration import typed
from melaudit.errors import DatasetError
from melaudit.images.classes import read_names

CONTENTS = {
    "names.txt": "tench\ngoldfish\n  great white shark \n",
    "list.json": json.dumps(["tench", "goldfish", "great white shark"]),
    "index.json": json.dumps({"2": "great white shark", "0": "tench", "1": "goldfish"}),
    "imagenet.json": json.dumps(
        {
            "0": ["n01440764", "tench"],
            "1": ["n01443537", "goldfish"],
            "2": ["n01484850", "great white shark"],
        }
    ),
    "label2id.json": json.dumps({"goldfish": 1, "tench": 0, "great white shark": 2}),
}


@pytest.mark.parametrize(("name", "content"), CONTENTS.items(), ids=CONTENTS.keys())
def test_names_are_in_the_order_of_the_outputs(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    names = ("tench", "goldfish", "great white shark")
    assert read_names(tmp_path / name) == names
    assert typed({"classes": str(tmp_path / name)}, "options")["classes"] == names
    assert typed({"classes": [name]}, "melaudit.toml", tmp_path)["classes"] == names


def test_names_that_repeat_carry_their_index(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("crane\nheron\ncrane\n")
    assert read_names(tmp_path / "n.txt") == ("crane (0)", "heron", "crane (2)")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"1": "a"}', "indices are not 0 to 0"),
        ('{"a": "b"}', "no class names"),
        ("3", "it is int"),
        ("[1, 2]", "some names are no text"),
        ('["a", ""]', "no name for output 1"),
        ("", "no class names"),
    ],
)
def test_what_is_no_list_of_names_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text(content)
    with pytest.raises(DatasetError, match=said):
        read_names(tmp_path / "n.json")


def test_a_missing_file_is_said_with_what_else_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"or give the names themselves: a,b,c"):
        typed({"classes": str(tmp_path / "none.txt")}, "options")
    assert typed({"classes": "a,b,c"}, "options")["classes"] == ("a", "b", "c")
