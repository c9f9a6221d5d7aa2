"""A headless Chromium that may reach nothing, and pages of made-up records to open in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from melaudit.reports import Assets, write_report
from tests.reports.made_up_variants import VARIANTS, large

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Opened:
    """A page, and everything that it did while it was open."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    """Console messages, uncaught errors, refused by the page's policy."""
    requests: list[str] = field(default_factory=list)
    """Addresses asked for, the page itself and data URIs left out."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Return a browser, or skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = os.environ.get("MELAUDIT_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("needs Chromium, which is not installed (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function: kind of record -> its report as a file; "split" has a folder beside it."""
    folder = tmp_path_factory.mktemp("reports")

    def file(kind: str) -> Path:
        path = folder / kind / "report.html"
        if not path.exists():
            path.parent.mkdir()
            split = kind == "split"
            record = (VARIANTS | {"split": VARIANTS["ring"], "large": large})[kind]()
            write_report(record, path, assets=Assets.SPLIT if split else Assets.INLINE)
        return path

    return file


@pytest.fixture
def visit(chromium: Any, files: Callable[[str], Path]) -> Iterator[Callable[..., Opened]]:
    """Return a function that opens the report of a kind of record: (kind, **context options).

    `first` is a script that runs before those of the page.
    """
    contexts = []

    def open_report(kind: str, **options: Any) -> Opened:
        settings = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"} | options
        first = settings.pop("first", None)
        context = chromium.new_context(**settings)
        contexts.append(context)
        if first is not None:
            context.add_init_script(first)
        opened = Opened(context.new_page())
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        path = files(kind)
        own = path.parent.as_uri()
        opened.page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("data:", "blob:", own))
                else opened.requests.append(request.url)
            ),
        )
        opened.page.goto(path.as_uri())
        return opened

    yield open_report
    for context in contexts:
        context.close()
