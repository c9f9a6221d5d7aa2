"""What the page says of pictures of lower quality."""

from dataclasses import replace

from melaudit.findings import Corruption, CorruptionStep, Figure
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render


def curve(title: str, *changed: float) -> Corruption:
    return Corruption(
        id=title.lower(),
        title=title,
        unit="steps",
        n=16,
        labelled=16,
        steps=tuple(
            CorruptionStep(
                k,
                k / 10,
                Figure(share, share / 2, (1 + share) / 2),
                Figure(1 - share, 0.5 - share / 2, 1 - share / 2),
            )
            for k, share in enumerate((0.0, *changed))
        ),
    )


def test_all_kinds_share_one_plot_below_the_reactions(records: dict[str, Record]) -> None:
    record = records["ring"]
    tried = (curve("Noise", 0.0, 0.25), curve("JPEG compression", 0.0, 0.5))
    page = build_page(replace(record, findings=replace(record.findings, corruptions=tried)))
    section = page.corruptions

    assert section is not None and section.plot is not None
    assert section.statement.replace("\u00a0", " ") == (
        "16 images were shown to the model with lower quality, in 2 steps. Of the decisions at "
        "the strongest step, noise changes 25 % (12 to 62 %); JPEG compression changes 50 % (25 to "
        "75 %)."
    )
    assert [line.title for line in section.plot.lines] == ["Noise", "JPEG compression"]
    right, steps = section.tables
    assert right.columns == ("Kind", "as it is", "severity 1", "severity 2")
    assert [c.replace("\u00a0", " ") for c in section.plot.rows[2]] == [
        "2",
        "25 % (12 to 62 %)",
        "50 % (25 to 75 %)",
    ]
    assert right.rows[1][3].replace("\u00a0", " ") == "50 % (25 to 75 %)"
    assert steps.rows[0] == ("Noise", "0.1", "0.2", "steps")
    html = render(page)
    assert html.index('<section id="findings"') < html.index('<section id="reactions"')
    assert "nothing here enters the verdict" in html


def test_an_audit_that_tried_none_has_no_section(records: dict[str, Record]) -> None:
    page = build_page(records["ring"])
    assert page.corruptions is None
    assert '<section id="reactions"' not in render(page)
