"""Reading a file of unknown origin happens in a child process that can do little else."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from melaudit.errors import CheckpointError
from melaudit.models import confined as module
from melaudit.models.confined import Answer, confined
from melaudit.models.fences import Limits

LIMITS = Limits(memory=2**30, seconds=60)
linux = pytest.mark.skipif(sys.platform != "linux", reason="the fence is of Linux")


def told(act: Callable[[], object]) -> str:
    """Return what an act says in a child: what it returns, or the kind of its error."""

    def work() -> Answer:
        try:
            return {}, {"told": str(act())}
        except Exception as error:
            return {}, {"told": type(error).__name__}

    return str(confined(work, "a.pt", LIMITS)[1]["told"])


def all_kinds() -> Answer:
    tensors = {
        "whole": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "number": torch.tensor(7),
        "none": torch.empty(0, 3),
        "\udcffname\n": torch.tensor([True, False]),
        "large": torch.arange(2**19 + 3, dtype=torch.int64),
        "short": torch.tensor([-3, 4], dtype=torch.int16),
    }
    return tensors, {"under": "model", "notes": ["one", "two"]}


@pytest.mark.parametrize("start", [module.START, "spawn"])
def test_tensors_come_back_as_they_are(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START", start)
    tensors, said = confined(all_kinds, "a.pt", LIMITS, 10**7)
    expected, also = all_kinds()
    assert list(tensors) == list(expected)
    assert said == also
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_an_error_of_the_file_is_the_parents_error() -> None:
    def refuse() -> Answer:
        raise CheckpointError("a.pt is no checkpoint")

    with pytest.raises(CheckpointError, match=r"^a\.pt is no checkpoint$"):
        confined(refuse, "a.pt", LIMITS)


def test_an_error_of_ours_stays_one() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        confined(lambda: ({}, {"x": 1 // 0}), "a.pt", LIMITS)


def _crash() -> Answer:
    os.abort()


def _hang(seconds: float) -> Answer:
    time.sleep(seconds)
    return {}, {}


def _spin() -> Answer:
    while True:
        pass


def _eat() -> Answer:
    return {}, {"bytes": len(bytearray(2**42))}


@linux
@pytest.mark.parametrize(
    ("work", "said"),
    [
        (_crash, r"crashed \(SIG"),
        (_spin, r"too much time or memory"),
        (functools.partial(_hang, 60.0), r"too much time or memory"),
        (_eat, "GiB of memory"),
        (functools.partial(os._exit, 0), "ended without an answer"),
    ],
)
def test_a_child_that_dies_hangs_or_takes_too_much_is_a_bad_file(
    work: Callable[[], Answer], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said) as caught:
        confined(work, "a.pt", Limits(2**30, 1))
    assert str(caught.value).startswith("a.pt ")


def _call(name: str, *arguments: int | bytes | None) -> Callable[[], object]:
    """Return a call of the C library, which Python's own fence does not see."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.restype = ctypes.c_int

    def act() -> str:
        return f"{function(*arguments)}"

    return act


@linux
def test_neither_python_nor_native_code_gets_out(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"held")
    inherited = socket.socketpair()
    python: dict[str, Callable[[], object]] = {
        "a socket": socket.socket,
        "a process": lambda: subprocess.run([sys.executable, "-V"], check=False),
        "a shell": lambda: os.system("true"),
        "a copy of itself": os.fork,
        "a new file": lambda: (tmp_path / "new").write_bytes(b""),
        "a changed file": lambda: target.write_bytes(b""),
        "a file removed": target.unlink,
        "a folder": (tmp_path / "new").mkdir,
        "a signal to its parent": functools.partial(os.kill, os.getpid(), signal.SIGTERM),
        "a library": lambda: ctypes.CDLL("libc.so.6"),
    }
    allowed = {what for what, act in python.items() if told(act) != "PermissionError"}
    assert not allowed
    path = os.fsencode(target)
    native = {
        "a socket": _call("socket", 2, 1, 0),
        "a process": _call("execv", b"/bin/true", None),
        "a copy of itself": _call("fork"),
        "a file for writing": _call("open", path, os.O_RDWR),
        "a new file": _call("open", os.fsencode(tmp_path / "new"), os.O_CREAT | os.O_RDONLY, 0o600),
        "a file removed": _call("unlink", path),
        "a folder": _call("mkdir", os.fsencode(tmp_path / "new"), 0o700),
        "a signal to its parent": _call("kill", os.getpid(), int(signal.SIGTERM)),
        "a socket of its parent": _call("write", inherited[0].fileno(), b"x", 1),
    }
    # From Python 3.14 on, ctypes tells of such calls, and Python's fence refuses them as well.
    refused = {"-1", "PermissionError"} if sys.version_info >= (3, 14) else {"-1"}
    assert {what for what, act in native.items() if told(act) not in refused} == set()
    assert target.read_bytes() == b"held"
    assert list(tmp_path.iterdir()) == [target]
    assert told(lambda: target.read_text("ascii")) == "held"  # libraries read their own files


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b'{"tensors": [["w", "torch.float32", [-1]]], "said": {}}',
        b'{"tensors": [["w", "torch.float32", [4, 1e3]]], "said": {}}',
        b'{"tensors": [["w", "torch.float32", [1000000000000]]], "said": {}}',
        b'{"tensors": [["w", "torch.qint8", [1]]], "said": {}}',
        b'{"tensors": [["w", "torch.float32", [3]]], "said": {}}',
        b'{"tensors": [], "said": 7}',
        b'{"tensors": 7, "said": {}}',
    ],
)
def test_what_a_child_says_is_held_against_what_it_may_say(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lie(_: object, own_end: Connection, __: object) -> None:
        own_end.send_bytes(answer)

    monkeypatch.setattr(module, "_answer", lie)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        confined(all_kinds, "a.pt", LIMITS, 100)


def test_a_message_of_a_child_cannot_act(monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(_: object, own_end: Connection, __: object) -> None:
        own_end.send_bytes(b'{"refused": "a\\u001b[2J\\nb\\u202e"}')

    monkeypatch.setattr(module, "_answer", lie)
    with pytest.raises(CheckpointError) as caught:
        confined(all_kinds, "a.pt", LIMITS, 100)
    assert str(caught.value).isprintable()


def test_no_child_is_left_over() -> None:
    import multiprocessing

    confined(all_kinds, "a.pt", LIMITS, 10**7)
    assert not multiprocessing.active_children()
