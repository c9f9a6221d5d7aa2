"""The report in a real browser: it asks for nothing, breaks nothing and reads well everywhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Opened
from tests.reports.made_up_variants import VARIANTS

Visit = Callable[..., Opened]


@pytest.mark.parametrize("kind", [*VARIANTS, "split"])
def test_the_page_asks_for_nothing_and_nothing_is_refused(kind: str, visit: Visit) -> None:
    opened = visit(kind)

    assert opened.complaints == []
    assert opened.requests == []


def test_the_policy_is_on(visit: Visit) -> None:
    opened = visit("ring")

    opened.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.broken = true";
          document.body.append(script);
          const image = new Image();
          image.src = "https://example.invalid/x.png";
          document.body.append(image);
        }"""
    )
    opened.page.wait_for_timeout(200)

    assert opened.page.evaluate("window.broken") is None
    assert sum("Content Security Policy" in line for line in opened.complaints) == 2


@pytest.mark.parametrize("kind", ["ring", "unusable", "split"])
def test_every_link_and_every_picture_resolves(kind: str, visit: Visit) -> None:
    broken = visit(kind).page.evaluate(
        """async () => {
          const lost = [];
          for (const a of document.querySelectorAll("a[href], use[href]")) {
            const to = a.getAttribute("href");
            if (!document.getElementById(to.slice(1))) lost.push(to);
          }
          for (const picture of document.querySelectorAll("image")) {
            const copy = new Image();
            copy.src = picture.getAttribute("href");
            try { await copy.decode(); } catch { lost.push(picture.id); }
          }
          return lost;
        }"""
    )

    assert broken == []


def test_the_first_screen_holds_verdict_facts_and_findings(visit: Visit) -> None:
    page = visit("ring").page

    for what in ("h1", ".lead", ".facts", ".rows"):
        box = page.locator(what).first.bounding_box()
        assert box["y"] + box["height"] <= 800, what


@pytest.mark.parametrize("kind", ["ring", "hostile", "unusable", "nothing", "crowd"])
def test_a_telephone_shows_the_page_without_scrolling_sideways(kind: str, visit: Visit) -> None:
    page = visit(kind, viewport={"width": 390, "height": 844}).page

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((e) => {
          if (e.closest(".scroll, .away, svg")) return false;
          const box = e.getBoundingClientRect();
          return box.width && box.right > 391;
        }).map((e) => e.tagName + "." + e.className)"""
    )
    assert wide == []


def test_without_script_all_words_and_pictures_are_there(visit: Visit) -> None:
    page = visit("ring", java_script_enabled=False).page
    words = " ".join(page.locator("main").text_content().split())
    findings = VARIANTS["ring"]().findings

    for finding in findings.findings:
        for text in (finding.title, finding.statement, finding.remedy, finding.does_not_show):
            assert text in words
        for evidence in finding.evidence:
            assert evidence.statement in words
    photograph, over = (
        page.locator(".tile .pair:visible").first.locator("svg.photo").nth(k) for k in (0, 1)
    )
    left, right = photograph.bounding_box(), over.bounding_box()
    assert left["x"] + left["width"] <= right["x"]
    assert left["width"] > 100 and left["height"] > 100
    assert page.locator("[data-js]:visible").count() == 0


def test_a_printed_heading_stays_with_its_first_finding(visit: Visit, tmp_path: Path) -> None:
    # The verdict is stretched so that "Findings" comes to stand near the end of a page.
    pypdf = pytest.importorskip("pypdf", reason="needs pypdf")
    page = visit("ring").page
    page.evaluate("document.getElementById('summary').style.height = '205mm'")

    page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)

    pages = [p.extract_text() for p in pypdf.PdfReader(tmp_path / "report.pdf").pages]
    (heading,) = [text for text in pages if "A finding is a claim about the model" in text]
    assert "the highest rung it reached" in re.sub(r"\s+", " ", heading)
    assert "What to do" in heading


@pytest.mark.parametrize("unfolded", [True, False])
def test_the_printed_page_holds_every_finding_and_what_is_unfolded(
    unfolded: bool, visit: Visit, tmp_path: Path
) -> None:
    pypdf = pytest.importorskip("pypdf", reason="needs pypdf")
    path = tmp_path / "report.pdf"
    page = visit("ring").page
    page.locator('[data-severity="medium"]').click()
    if unfolded:
        page.locator("#unfold").click()

    page.pdf(path=path, format="A4", print_background=True)

    text = "".join(p.extract_text() for p in pypdf.PdfReader(path).pages)
    printed = re.sub(r"\s+", "", text)
    findings = VARIANTS["ring"]().findings
    for finding in findings.findings:
        told = [finding.title, finding.remedy]
        if unfolded:
            told += [finding.statement, finding.does_not_show, finding.images[-1]]
            told += [e.statement for e in finding.evidence]
        assert [line for line in told if re.sub(r"\s+", "", line) not in printed] == []
    assert ("image_size" in text) is unfolded
    assert ("(folded)" in text) is not unfolded
    assert "Parts marked \u201cfolded\u201d are on the page itself" in text


def test_the_printed_page_is_short_enough_to_be_read(visit: Visit, tmp_path: Path) -> None:
    # A page with every section takes 8 sheets; laid out as on the screen it took half as many more.
    pypdf = pytest.importorskip("pypdf", reason="needs pypdf")

    visit("ring").page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)

    assert len(pypdf.PdfReader(tmp_path / "report.pdf").pages) <= 9


def test_dark_follows_the_system_and_gives_way_to_the_reader(visit: Visit) -> None:
    page = visit("ring", color_scheme="dark").page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)

    page.locator("#theme").click()

    light = page.evaluate(ground)
    assert dark == "rgb(14, 17, 21)"
    assert light == "rgb(245, 246, 248)"
    page.reload()
    assert page.evaluate(ground) == light


# Each takes seconds: one page has all parts but the band of maps that cannot be used.
@pytest.mark.parametrize(
    ("kind", "scheme"), [("ring", "light"), ("ring", "dark"), ("unusable", "light")]
)
def test_an_accessibility_checker_finds_nothing(kind: str, scheme: str, visit: Visit) -> None:
    package = pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
    source = (Path(package.__file__).parent / "axe.min.js").read_text("utf-8")
    page = visit(kind, color_scheme=scheme).page
    # What is folded away is looked at too.
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")

    page.evaluate(source)
    found = page.evaluate(
        """() => axe.run(document, {
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
          resultTypes: ["violations"],
        })"""
    )

    assert [
        (rule["id"], [n["html"][:160] for n in rule["nodes"][:3]]) for rule in found["violations"]
    ] == []


def test_hostile_names_do_nothing_in_a_browser(visit: Visit) -> None:
    opened = visit("hostile")
    alerts: list[str] = []

    def dismiss(dialog: Any) -> None:
        alerts.append(dialog.message)
        dialog.dismiss()

    opened.page.on("dialog", dismiss)

    opened.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    opened.page.locator(".tile .photo:visible").first.click()
    opened.page.keyboard.press("ArrowRight")

    assert alerts == [] and opened.complaints == [] and opened.requests == []
    assert opened.page.locator("img, iframe, a[href^=javascript]").count() == 0
    assert opened.page.locator("script").count() == 1


def test_a_report_of_many_images_stays_small(visit: Visit, files: Callable[[str], Path]) -> None:
    opened = visit("large")

    assert files("large").stat().st_size <= 10_000_000
    assert opened.page.evaluate("document.getElementsByTagName('*').length") <= 5_500
    assert opened.complaints == []
