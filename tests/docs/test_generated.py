"""Pages made from the code are current, and the answers they quote are what a user gets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from melaudit.artifacts.registry import OURS as ARTIFACTS
from melaudit.cli import main
from melaudit.errors import MelauditError
from tests.docs import detectors, forms, forms_of_data, pictures
from tests.docs.forms import Form, Subject
from tests.docs.pages import ROOT, blocks, text

SUBJECTS = forms.subjects()
REFUSED = [(subject, form) for subject in SUBJECTS for form in subject.refused]


def test_the_page_of_detectors_is_the_one_that_make_reference_writes() -> None:
    assert detectors.PAGE.read_text(encoding="utf-8") == detectors.page(), "run: make reference"


def test_every_detector_and_artifact_says_what_it_is() -> None:
    headings = re.findall(r"^### `(\w+)`$", text("docs/detectors.md"), re.MULTILINE)
    assert sorted(headings) == sorted({*detectors.questions(), *(a.id for a in ARTIFACTS)})
    for entry in text("docs/detectors.md").split("\n### ")[1:]:
        assert len(entry.split()) > 20, entry


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.file)
def test_what_is_answered_to_each_form_is_what_its_page_says(subject: Subject) -> None:
    pytest.importorskip("timm")
    assert (ROOT / subject.file).read_text(encoding="utf-8") == forms.page(subject), (
        f"{subject.file} is not current; run: make reference"
    )


@pytest.mark.parametrize(("subject", "form"), REFUSED, ids=lambda it: getattr(it, "title", ""))
def test_the_command_line_refuses_a_form_in_these_words(
    subject: Subject,
    form: Form,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(f"run {form.options} --image-size 32 --out audit")
    with pytest.raises(MelauditError) as refused:
        form.give()
    if "docs/data.md" in subject.file:
        from tests.docs.forms_of_checkpoints import saved, weights

        saved(weights)
    else:
        forms_of_data.images("images/benign/0.png", "images/malignant/0.png")
    assert main(words) == 2
    assert str(refused.value) in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "audit" / "report.html").exists()


def test_every_section_of_a_report_has_its_picture_and_its_words() -> None:
    shown = re.findall(r"\]\(pictures/([\w-]+)\.webp\)", text("docs/reading.md"))
    files = {path.stem: path.stat().st_size for path in pictures.FOLDER.glob("*.webp")}
    assert set(shown) == set(files)
    assert sum(files.values()) < 700_000
    templates = (ROOT / "melaudit" / "templates" / "sections").glob("*.j2")
    found = "".join(path.read_text(encoding="utf-8") for path in templates)
    titles = re.findall(r'section\(\s*"[\w-]+", "([^"]+)"', found)
    assert len(titles) > 15
    assert [title for title in titles if title not in text("docs/reading.md")] == []


def test_the_command_of_the_pictures_finds_the_sections_of_a_page() -> None:
    page = '<section id="a-b"><p>x</p><h2 id="h">One <em>two</em></h2></section>'
    assert pictures.sections(page) == {"a-b": "One two"}


def test_the_site_is_built_with_warnings_as_errors() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nsite:")[2]
    assert " -W " in recipe.partition("\n\n")[0]
    assert "make site" in (ROOT / ".ci" / "run").read_text() if (ROOT / ".ci").exists() else True
    assert blocks("README.md")
