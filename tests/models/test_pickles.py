"""What a pickle would import, as fickling, which is written by others, reads it too."""

import collections
import datetime
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from fickling.fickle import Pickled
from torch import nn

from melaudit.models.pickles import disassemble


class Command:
    """Unpickling this runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


OBJECTS = {
    "plain": {"epoch": 3, "loss": [1, None, ("a", b"b")]},
    "ordered": collections.OrderedDict(a=1),
    "number of numpy": {"best": np.float64(0.5)},
    "date": datetime.date(2027, 1, 31),
    "command": Command(),
    "command among others": [1, Command(), {"x": collections.Counter("ab")}],
}
BY_HAND = {
    "names on the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
    "names from the memo": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x9400h\x00h\x01\x93.",
    "old name": b"cposix\nsystem\n.",
}


def imported(content: bytes) -> set[str]:
    """Return what fickling says that a pickle imports."""
    nodes = Pickled.load(content).properties.imports
    return {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}


def found(content: bytes) -> set[str]:
    return set(disassemble(io.BytesIO(content)).globals)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", OBJECTS)
def test_a_pickle_of_python(name: str, protocol: int) -> None:
    content = pickle.dumps(OBJECTS[name], protocol)
    assert found(content) == imported(content)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_pickle_that_hides_what_it_imports(name: str) -> None:
    assert found(BY_HAND[name]) == imported(BY_HAND[name]) == {"posix.system"}


def test_the_pickle_of_a_checkpoint() -> None:
    file = io.BytesIO()
    torch.save({"state_dict": nn.Linear(2, 2).state_dict(), "epoch": 1}, file)
    with zipfile.ZipFile(file) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        content = archive.read(name)
    assert "collections.OrderedDict" in found(content)
    assert found(content) == imported(content)
