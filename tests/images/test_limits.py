"""Limits of decoding: an image that takes too long or too much is skipped and counted."""

import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from melaudit.images import limits
from melaudit.images.imagefile import read_image
from melaudit.images.limits import OutOfTimeError, limited
from tests.images.encoded import encoded, photo


def busy(seconds: float = 5) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_what_takes_too_long_is_interrupted_even_where_errors_are_swallowed() -> None:
    def stubborn() -> None:
        try:
            busy()
        except Exception:
            busy()

    with pytest.raises(OutOfTimeError), limited(0.05):
        stubborn()
    assert signal.getsignal(signal.SIGPROF) is signal.SIG_DFL
    busy(0.2)  # no signal comes later


def test_a_slow_image_is_skipped_and_the_next_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    with monkeypatch.context() as slow:
        slow.setattr(Image.Image, "convert", lambda *_: busy())
        slow.setattr("melaudit.images.imagefile.limited", lambda: limited(0.05))
        assert read_image(tmp_path / "a.jpg").reasons == ("too_slow",)
    assert read_image(tmp_path / "a.jpg").status == "ok"


def test_a_profiler_keeps_its_signal() -> None:
    def handler(*_: object) -> None:
        pass

    signal.signal(signal.SIGPROF, handler)
    try:
        with limited(0.05):
            assert signal.getsignal(signal.SIGPROF) is handler
    finally:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)


def test_a_worker_has_no_more_memory_than_one_image_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits._State, "in_worker", True)
    with pytest.raises(MemoryError), limited():
        bytearray(limits.MAX_MEMORY + 2**28)
    bytearray(2**20)
