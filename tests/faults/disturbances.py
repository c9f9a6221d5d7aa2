"""What goes wrong in the process of an audit: each function here prepares one fault in it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit.conclude import assembly
from melaudit.images import image_stream, imagefile
from melaudit.relevance.engines import gradient
from melaudit.terminal import Terminal

AT = "dim/00003.png"
"""The image at which things happen that happen at an image."""
FIRED = "fired"
"""The file that tells that a fault has happened."""


_make = os.mkdir  # before it is made to fail


def put_on(place: Any, name: str, value: object) -> None:
    """Put something in the place of what a module or class has under a name."""
    setattr(place, name, value)


class _Nth:
    """Does something at the nth call of a function, before the function itself is called."""

    def __init__(self, folder: Path, n: int, fault: Callable[[], None]) -> None:
        self._folder, self._n, self._fault = folder, n, fault

    def __call__(self) -> None:
        self._n -= 1
        if self._n == 0:
            _make(self._folder / FIRED)
            self._fault()


def fail_at(call: str, n: int, number: int, folder: Path) -> None:
    """Let the nth call of a kind fail with an error number; 0 kills the process instead."""

    def fault() -> None:
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(number, os.strerror(number))

    _CALLS[call](_Nth(folder, n, fault))


def _patched(module: Any, name: str, before: Callable[..., bool] = lambda *_: True) -> Any:
    """Return what replaces a function by one that first counts those of its calls that count."""

    def patch(nth: _Nth) -> None:
        usual = getattr(module, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            if before(*arguments):
                nth()
            return usual(*arguments, **named)

        put_on(module, name, counted)

    return patch


def _is_folder(handle: int) -> bool:
    return stat.S_ISDIR(os.fstat(handle).st_mode)


def _is_image(path: object, *_: object) -> bool:
    return str(path).endswith(".png")


def _writing(nth: _Nth) -> None:
    """Count writes; the nth one writes half of what it should."""
    usual = os.fdopen

    class Half:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            nth()
            self._file.write(data[len(data) // 2 :])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    def opened(handle: int, mode: str = "r", *rest: Any) -> Any:
        file = usual(handle, mode, *rest)
        return Half(file) if mode == "wb" else file

    put_on(os, "fdopen", opened)


def _after_rename(nth: _Nth) -> None:
    usual = os.replace

    def replaced(*arguments: Any, **named: Any) -> None:
        usual(*arguments, **named)
        nth()

    put_on(os, "replace", replaced)


_CALLS: Mapping[str, Callable[[_Nth], None]] = {
    "make a temporary file": _patched(tempfile, "mkstemp"),
    "write": _writing,
    "fsync a file": _patched(os, "fsync", lambda handle: not _is_folder(handle)),
    "fsync a folder": _patched(os, "fsync", _is_folder),
    "chmod": _patched(os, "chmod"),
    "rename": _patched(os, "replace"),
    "after a rename": _after_rename,
    "make a folder": _patched(os, "mkdir"),
    "open an image": _patched(os, "open", _is_image),
    "hash an image": _patched(imagefile, "_digest"),
    "decode an image": _patched(imagefile, "_decode"),
    "open a shard": _patched(pq, "ParquetFile"),
    "read a file of the store": _patched(Path, "read_bytes", lambda path: "shards" in str(path)),
}


def at_stage(name: str, act: Callable[[Path], None], folder: Path) -> None:
    """Do something when a stage of the audit begins for the first time."""

    def once(folder: Path) -> None:
        if not (folder / FIRED).exists():
            (folder / FIRED).mkdir()
            act(folder)

    when_stage(name, once, folder)


def when_stage(name: str, act: Callable[[Path], None], folder: Path) -> None:
    """Do something whenever a stage of the audit begins."""
    usual = Terminal.stage

    def stage(self: Terminal, said: str, *rest: Any) -> None:
        usual(self, said, *rest)
        if said.startswith(name):
            act(folder)

    put_on(Terminal, "stage", stage)


# What happens then.


def signals(numbers: tuple[int, ...], _: Path) -> None:
    """Send signals to this process."""
    for number in numbers:
        os.kill(os.getpid(), number)


def wait_for_ever(_: Path) -> None:
    """Wait until somebody ends it."""
    time.sleep(3600)


def until_fired(pid: int, folder: Path) -> None:
    """Wait until a fault has happened, or the process that it is to happen in has ended."""
    while not (folder / FIRED).exists() and Path(f"/proc/{pid}").exists():
        time.sleep(0.05)


def tell_that_it_joined(folder: Path) -> None:
    """Leave a file that says that this worker has found the run."""
    (folder / f"joined-{os.getpid()}").touch()


def until_joined(workers: int, folder: Path) -> None:
    """Wait until so many workers have found the run."""
    while len(list(folder.glob("joined-*"))) < workers:
        time.sleep(0.05)


def replace_image(folder: Path) -> None:
    """Put another image of the same length in the place of one."""
    image = folder / "data" / AT
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)


def remove_image(folder: Path) -> None:
    """Delete an image."""
    (folder / "data" / AT).unlink()


def damage(pattern: str, how: str, folder: Path) -> None:
    """Damage the first file of the store whose name matches."""
    path = min((folder / "out" / "shards").rglob(pattern))
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:-10])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def damage_every_block(folder: Path) -> None:
    """Flip a byte in each file of the store, in a block of 4 KB that is another each time."""
    for k, path in enumerate(sorted((folder / "out" / "shards").rglob("*.*"))):
        content = bytearray(path.read_bytes())
        content[k * 4096 % len(content)] ^= 255
        path.write_bytes(content)


# What is so from the beginning.


def clock_step(hours: int, folder: Path) -> None:
    """Let the clock on the wall jump while images are measured; the times are real ones."""
    del os.environ["SOURCE_DATE_EPOCH"]

    def jump(_: Path) -> None:
        class Later(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + timedelta(hours=hours)

        usual = time.time
        put_on(time, "time", lambda: usual() + 3600 * hours)
        put_on(assembly, "datetime", Later)

    at_stage("Measuring", jump, folder)


def environment(name: str, value: str | None, _: Path) -> None:
    """Set an environment variable, or remove it."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def small_files(_: Path) -> None:
    """Let no file grow beyond 8 KB: real errors of write, whoever writes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def few_open_files(_: Path) -> None:
    """Let the process open no more files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def nobody(folder: Path) -> None:
    """Go on as a user who may read everything and write nothing."""
    for path in (folder, *folder.parents):
        with contextlib.suppress(PermissionError):
            path.chmod(path.stat().st_mode | 0o055)
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out").chmod(0o555)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


def closed_output(_: Path) -> None:
    """Close the pipe that standard output goes to."""
    ours, theirs = os.pipe()
    os.dup2(theirs, 1)
    os.close(ours)


def no_shared_memory(_: Path) -> None:
    """Let shared memory have no room."""
    put_on(image_stream, "_SHARED_RESERVE", 2**62)


def out_of_memory(above: int, on_the_cpu: bool, _: Path) -> None:
    """Let memory run out with more than so many images at a time: on a GPU, or on the CPU."""
    usual = gradient.GradientEngine.attribute

    def attribute(self: Any, x: torch.Tensor, *rest: Any) -> Any:
        if len(x) > above:
            if on_the_cpu:
                torch.empty(2**45)  # no processor can address as much
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(self, x, *rest)

    put_on(gradient.GradientEngine, "attribute", attribute)


def no_memory_to_decode(_: Path) -> None:
    """Let the memory run out whenever one certain image is decoded."""
    usual = imagefile.read_image

    def read(path: Any, **named: Any) -> Any:
        if not str(path).endswith(AT):
            return usual(path, **named)
        decode = imagefile._decode
        put_on(imagefile, "_decode", _no_memory)
        try:
            return usual(path, **named)
        finally:
            put_on(imagefile, "_decode", decode)

    put_on(image_stream, "read_image", read)


def _no_memory(*_: Any) -> Any:
    raise MemoryError


def no_memory_to_conclude(folder: Path) -> None:
    """Let the memory run out at the end."""

    def act(_: Path) -> None:
        raise MemoryError

    at_stage("Concluding", act, folder)


def strange_logits(value: float, folder: Path) -> None:
    """Let the model give a number that is none."""
    usual = torch.nn.Linear.forward

    def forward(self: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        return usual(self, x) * value

    put_on(torch.nn.Linear, "forward", forward)


def failing_artifact(what: str, _: Path) -> None:
    """Let an artifact raise an error, or return what is no image."""

    def wrong(self: DarkRing, *arguments: Any, **named: Any) -> Any:
        raise ValueError("not today")

    put_on(DarkRing, what, wrong)


def strange_score(_: Path) -> None:
    """Let a finder return a score that is no number."""
    usual = DarkRing.find

    def find(self: DarkRing, image: Any) -> Any:
        return dataclasses.replace(usual(self, image), score=float("nan"))

    put_on(DarkRing, "find", find)
