"""What a user sees while a run goes on, on a screen and in a log."""

import io
import time

import pytest

from melaudit import terminal as module
from melaudit.terminal import Rate, Terminal, printable
from melaudit.wording.figures import whole_duration


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "TTY_COMPATIBLE", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    """Return what a short stage writes to a stream in place of stderr."""
    monkeypatch.setattr("sys.stderr", stream)
    with Terminal() as terminal:
        terminal.stage("Measuring", 8)
        terminal.advance(8)
        terminal.table(("Severity", "Finding"), [("high", "black ring")])
        terminal.print("done", style="bold red")
    return stream.getvalue()


def test_a_log_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, io.StringIO())
    assert text.splitlines() == [
        "Measuring: 8 images",
        "  high  black ring",
        "done",
        "Measuring: 8 images in 0 s",
    ]


def test_a_screen_gets_colour_and_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, Screen())
    assert "\x1b[1;31m" in text
    assert "\u2502" in text or "\u2503" in text


def test_no_color_takes_colour_away_from_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert "\x1b[1;31m" not in shown(monkeypatch, Screen())


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    text = shown(monkeypatch, Screen())
    assert "Measuring: 8 images\n" in text and "\x1b" not in text


def test_colour_can_be_forced_into_a_log_but_no_line_is_drawn_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    text = shown(monkeypatch, io.StringIO())
    assert "\x1b[1;31mdone" in text
    assert "\r" not in text and "\x1b[2K" not in text


def test_a_log_hears_of_progress_every_half_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, clock = io.StringIO(), [0.0]
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Terminal() as terminal:
        terminal.stage("Measuring", 400)
        terminal.advance(100, computed=False)  # from an earlier run: no part of the rate
        for _ in range(8):
            clock[0] += 10
            terminal.advance(20)
    lines = stream.getvalue().splitlines()
    assert lines[1:-1] == [
        "Measuring: 160 of 400 images, 2.0 images/s, 2 min 0 s left",
        "Measuring: 220 of 400 images, 2.0 images/s, 1 min 30 s left",
    ]


def test_what_is_no_image_is_not_called_one_and_a_slow_rate_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, clock = io.StringIO(), [0.0]
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Terminal() as terminal:
        terminal.stage("Editing images", 3, "artifacts")
        for _ in range(3):
            clock[0] += 30
            terminal.advance(1)
    assert stream.getvalue().splitlines() == [
        "Editing images: 3 artifacts",
        "Editing images: 1 of 3 artifacts, 1 min 0 s left",
        "Editing images: 2 of 3 artifacts, 30 s left",
        "Editing images: 3 artifacts in 1 min 30 s",
    ]


def test_a_log_hears_of_each_percent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), [0.0]
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Terminal() as terminal:
        terminal.stage("Measuring", 400_000)
        for _ in range(1000):
            clock[0] += 40
            terminal.advance(40)
    told = [line for line in stream.getvalue().splitlines() if "left" in line]
    assert len(told) == 10
    assert "\r" not in stream.getvalue()


def test_the_first_batch_counts_only_until_there_is_a_second() -> None:
    rate = Rate(0.0)
    rate.add(16, 80.0)  # processes started, and caches were filled
    assert rate.per_second() == pytest.approx(0.2)
    rate.add(16, 84.0)
    assert rate.per_second() == pytest.approx(4)


def test_the_rate_forgets_a_slow_start() -> None:
    rate = Rate(0.0)
    assert rate.per_second() is None
    rate.add(1, 100.0)
    for second in range(101, 101 + int(module.WINDOW)):
        rate.add(5, float(second))
    assert rate.per_second() == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (108, "1 min 48 s"), (7380, "2 h 3 min")]
)
def test_times_are_told_as_people_tell_them(seconds: float, words: str) -> None:
    assert whole_duration(seconds) == words


def test_escapes_and_commands_of_a_build_server_are_shown_not_obeyed() -> None:
    assert "\x1b" not in printable("\x1b]8;;http://e.vil\x07x")
    assert "\u202e" not in printable("evil\u202egnp")
    assert printable("a\n::set-output name=x::y") == "a\n\\x3a:set-output name=x::y"
    assert printable("  ##[error]x") == "  \\x23#[error]x"
    assert printable("std::vector") == "std::vector"
