"""The process that decodes before the pass: the same images, and none that ends the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.audit.prepare import reader
from melaudit.audit.prepare.reader import Decoding, reading
from melaudit.images.imagefile import Decoded, read_image
from melaudit.images.storage.reading import content_of
from melaudit.images.worker_pool import Announce, Lost, WorkerPool

WAIT = 1.0


class Fatal(Decoding):
    """Kills or stops its process at one file, and notes that it did."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, job: tuple[str, int], lost: Lost, announce: Announce) -> Decoded:
        """Return the image of a file."""
        if job[0].endswith("fatal.png") and not lost:
            announce(0)
            with Path(f"{job[0]}.log").open("a", encoding="ascii") as log:
                log.write("x")
            os.kill(os.getpid(), self.number)
        return super().__call__(job, lost, announce)


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, ...]:
    """Two images, of which one will be fatal, and one that is none."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for name in ("fatal.png", "good.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"no image")
    return tuple(str(tmp_path / name) for name in ("fatal.png", "good.png", "bad.png"))


def same(one: Decoded, other: Decoded) -> bool:
    assert (one.status, one.reasons, one.content) == (other.status, other.reasons, other.content)
    return np.array_equal(one.image, other.image)  # type: ignore[arg-type]


def test_a_process_decodes_what_this_one_would(paths: tuple[str, ...]) -> None:
    with reading(workers=3) as read:
        assert all(same(read(path), read_image(path)) for path in paths)
    with reading(workers=0) as read:
        assert read is read_image


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "decoder_died"), (signal.SIGSTOP, "decoder_hangs")]
)
def test_a_fatal_image_is_skipped_and_not_tried_again(
    number: int, reason: str, paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "Decoding", lambda: Fatal(number))
    monkeypatch.setattr(WorkerPool.__init__, "__defaults__", (WAIT,))
    fatal, good, _ = paths
    with reading(workers=1) as read:
        for _ in range(2):
            decoded = read(fatal)
            assert decoded.image is None
            assert decoded.reasons == (reason,)
            assert decoded.content == content_of(fatal)
            assert same(read(good), read_image(good))
    assert Path(f"{fatal}.log").read_text("ascii") == "xx"


def test_the_process_need_not_wait_for_pytorch() -> None:
    code = "import melaudit.audit.prepare.reader, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
