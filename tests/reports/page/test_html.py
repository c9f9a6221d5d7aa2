"""Tests of the page as HTML: no name acts, links resolve, nothing comes from outside."""

import base64
import hashlib
import html
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest

from melaudit import templates
from melaudit.reports import build_page, render_report, write_report
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render
from melaudit.reports.page.page import Page

KINDS = ("ring", "hostile", "unusable", "nothing", "unlabelled", "crowd")
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Reader(HTMLParser):
    """Collects elements and text, and checks that elements close in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.raw: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({k for k, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside in ("style", "script"):
            self.raw[inside] = self.raw.get(inside, "") + data
        else:
            self.text.append(data)

    def words(self) -> str:
        """Return the page's text with single spaces."""
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def reports(pages: dict[str, Page]) -> dict[str, str]:
    """Return every kind of record as HTML."""
    return {kind: render(page) for kind, page in pages.items()}


@pytest.fixture(scope="session")
def readers(reports: dict[str, str]) -> dict[str, Reader]:
    """Return every kind of report as parsed."""
    return {kind: Reader(html) for kind, html in reports.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_reference_resolves_and_every_id_is_one(
    kind: str, readers: dict[str, Reader]
) -> None:
    elements = readers[kind].elements
    ids = [a["id"] for _, a in elements if "id" in a]
    links = [a["href"] or "" for _, a in elements if "href" in a]
    labels = [i for _, a in elements for i in (a.get("aria-labelledby") or "").split()]

    assert len(ids) == len(set(ids))
    assert all(h.startswith(("#", "data:image/webp;base64,")) for h in links)
    assert {h[1:] for h in links if h.startswith("#")} | set(labels) <= set(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_fetched_and_nothing_is_inline_but_ours(
    kind: str, readers: dict[str, Reader]
) -> None:
    reader = readers[kind]
    tags = [tag for tag, _ in reader.elements]

    assert tags.count("script") == tags.count("style") == 1
    assert not {"link", "iframe", "object", "embed", "form", "base", "img"} & set(tags)
    for _, attributes in reader.elements:
        assert "src" not in attributes and "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in reader.raw["style"] and "@import" not in reader.raw["style"]
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(", reader.raw["script"])


def test_the_policy_names_exactly_our_style_and_script(readers: dict[str, Reader]) -> None:
    reader = readers["ring"]
    (policy,) = [
        a["content"] or ""
        for _, a in reader.elements
        if a.get("http-equiv") == "Content-Security-Policy"
    ]

    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(reader.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_policy_stands_before_anything_it_governs(reports: dict[str, str]) -> None:
    html = reports["ring"]

    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_hostile_names_are_shown_and_do_not_act(
    reports: dict[str, str], readers: dict[str, Reader]
) -> None:
    html, reader = reports["hostile"], readers["hostile"]
    words = reader.words()

    assert "<img src=x onerror=alert(1)>" in words
    assert "{{7*7}}{% raw %}" in words
    assert "evil\u27e8U+202E\u27e9gnp.exe" in words
    assert "U+200B" in words and "U+001B" in words and "U+DCFF" in words
    assert not re.search("[\u202e\u200b\ufeff\x1b\x07\ud800-\udfff]", html)
    assert "49" not in re.findall(r"(?<!\d)49(?!\d)", words.replace("{{7*7}}", ""))
    assert html.encode("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_small_enough_to_open(
    kind: str, reports: dict[str, str], readers: dict[str, Reader]
) -> None:
    assert len(reports[kind].encode()) < 10_000_000
    assert reports[kind].count("data:image/webp") <= 600
    assert len(readers[kind].elements) < 5_000


def test_the_script_is_small(readers: dict[str, Reader]) -> None:
    assert len(readers["ring"].raw["script"]) <= 20_000


def test_the_same_record_gives_the_same_page(
    records: dict[str, Record], reports: dict[str, str]
) -> None:
    one = reports["ring"]
    shuffled = replace(
        records["ring"], exhibits=dict(reversed(list(records["ring"].exhibits.items())))
    )

    assert render_report(shuffled) == one


def test_everything_is_readable_without_the_script(
    records: dict[str, Record], readers: dict[str, Reader]
) -> None:
    words = readers["ring"].words()
    findings = records["ring"].findings
    told = [f.statement for f in findings.findings]
    told += [f.remedy for f in findings.findings]
    told += [f.does_not_show for f in findings.findings]
    told += [e.statement for f in findings.findings for e in f.evidence]
    told += [c.statement for c in findings.explanations.checks]
    told += [n.statement for n in findings.not_found]
    told += [s.reason for s in findings.skipped]
    told += list(findings.findings[0].images)
    told.append(findings.provenance.command)

    assert [line for line in told if line not in words] == []
    hidden = [a for _, a in readers["ring"].elements if "hidden" in a]
    assert hidden and all("data-js" in a for a in hidden)


def test_every_picture_has_words(readers: dict[str, Reader]) -> None:
    pictures = [a for t, a in readers["ring"].elements if t == "svg" and a.get("role") == "img"]

    assert len(pictures) > 20
    assert all(len(a["aria-label"] or "") > 10 for a in pictures)
    others = [a for t, a in readers["ring"].elements if t == "svg" and a.get("role") != "img"]
    assert all(a.get("aria-hidden") == "true" for a in others)


def test_headings_do_not_skip_a_level(readers: dict[str, Reader]) -> None:
    levels = [int(t[1]) for t, _ in readers["ring"].elements if re.fullmatch("h[1-6]", t)]

    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_a_template_that_lacks_a_value_fails_instead_of_leaving_a_gap(
    records: dict[str, Record],
) -> None:
    environment = templates.environment()

    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ page.absent }}").render(page=build_page(records["ring"]))


def test_no_template_goes_round_escaping() -> None:
    folder = Path(templates.__file__).parent
    sources = {p: p.read_text() for p in folder.rglob("*.j2")}

    assert len(sources) > 10
    for path, source in sources.items():
        assert not re.search(r"\|\s*safe|autoescape|tojson|style=|\bon[a-z]+=", source), path


def test_dark_by_system_and_dark_by_choice_are_the_same() -> None:
    css = (Path(templates.__file__).parent / "report.css").read_text()
    blocks = re.findall(r"color-scheme: dark;\s*([^}]*)\}", css)

    assert len(blocks) == 2
    assert blocks[0].split() == blocks[1].split()


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_every_ground(scheme: str) -> None:
    css = (Path(templates.__file__).parent / "report.css").read_text()
    block = re.findall(rf"color-scheme: {scheme};([^}}]*)\}}", css)[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    grounds = [c for c in colours if c in ("ground", "paper", "sunk") or c.endswith("-tint")]

    assert len(grounds) == 7
    for ink in ("ink", "muted", "link", "good", "mixed", "bad", "plain"):
        for ground in grounds:
            light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_a_report_is_written_whole(records: dict[str, Record], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(records["hostile"], path)

    assert path.read_text("utf-8") == render(build_page(records["hostile"]))
    assert list(tmp_path.iterdir()) == [path]


def test_a_command_is_not_broken_between_an_option_and_its_value() -> None:
    source = '{% from "macros.html.j2" import command %}{{ command(text) }}'
    text = "melaudit mitigate audit --finding 'a <b>' --out fixed.safetensors"
    drawn = templates.environment().from_string(source).render(text=text)
    assert [html.unescape(part) for part in re.findall("<span>(.*?)</span>", drawn)] == [
        "melaudit mitigate audit",
        "--finding 'a <b>'",
        "--out fixed.safetensors",
    ]
    assert html.unescape(re.sub("<[^>]+>", "", drawn)).strip() == text
