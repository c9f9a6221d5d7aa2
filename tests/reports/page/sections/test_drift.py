"""What the page says of training images and audited images."""

from dataclasses import replace

from melaudit.findings import Drift, Figure
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render

RING = Drift(
    "dark_ring", "Dark ring", True, "share of images", 0.2, 0.41, Figure(0.21, 0.1, 0.32),
    0.0005, 0.004, True, 200, 120, "Dark ring is seen more often in the audited images.",
)  # fmt: skip
LIGHT = Drift(
    "lightness", "Lightness of the picture", False, "mean L*", 60.1, 60.4, Figure(0.3, -1.1, 1.6),
    0.7, 0.8, False, 200, 120, "Not clear.",
)  # fmt: skip


def test_clear_differences_are_sentences_and_all_are_in_a_table(records: dict[str, Record]) -> None:
    record = records["ring"]
    page = build_page(replace(record, findings=replace(record.findings, drift=(LIGHT, RING))))

    section = page.drift
    assert section is not None
    assert section.lead.startswith("1 of 2\u00a0artifacts and properties differ")
    assert section.statements == (RING.statement,)
    first, second = ([c.replace("\u00a0", " ") for c in row] for row in section.table.rows)
    assert first == [
        "Black ring of the dermatoscope",
        "20 %",
        "41 %",
        "21 % (10 % to 32 %)",
        "0.004",
        "200 and 120",
    ]
    assert second[1:4] == ["60.1", "60.4", "0.3 (\u22121.1 to 1.6)"]
    assert '<section id="drift"' in render(page)


def test_no_clear_difference_is_no_proof_of_likeness(records: dict[str, Record]) -> None:
    record = records["ring"]
    page = build_page(replace(record, findings=replace(record.findings, drift=(LIGHT,))))
    assert page.drift is not None
    assert "no proof that they are alike" in page.drift.lead


def test_without_training_images_there_is_no_section(records: dict[str, Record]) -> None:
    assert build_page(records["ring"]).drift is None
    assert '<section id="drift"' not in render(build_page(records["ring"]))
