"""What the page says of skin tone."""

from dataclasses import replace

from melaudit.findings import Figure, SkinTone, ToneEstimate, ToneTrend
from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.html import render
from melaudit.reports.page.sections.performance.skin_tone import skin_tone

TONE = SkinTone(
    images=100,
    estimates=(
        ToneEstimate(
            "region", "skin outside the middle", "A 2020", 90, 10.2, 44.6, 80, 60, 30,
            ToneTrend(Figure(0.62, 0.51, 0.72), 0.01, 0.04, True), "By the first.",
        ),
        ToneEstimate(
            "patches", "lightest patch", "B 2022", 80, 20, 60, 88, 70, 10, None, "By the second.",
        ),
    ),
    n_both=75,
    disagreement=Figure(12.0, 9.0, 15.0),
    correlation=Figure(0.7, 0.6, 0.8),
    min_right=20,
    statement="Both differ.",
)  # fmt: skip


def test_both_methods_stand_side_by_side(records: dict[str, Record]) -> None:
    record = records["ring"]
    page = build_page(replace(record, findings=replace(record.findings, skin_tone=TONE)))

    section = page.skin_tone
    assert section is not None
    assert section.lead == "Both differ."
    assert section.trends == ("By the first.",)
    assert section.details == ("By the first.", "By the second.")
    first, second = ([c.replace("\u00a0", " ") for c in row] for row in section.table.rows)
    assert first == [
        "Skin outside the middle (A 2020)",
        "90",
        "45°",
        "10° to 80°",
        "60",
        "30",
        "62 % (51 to 72 %)",
        "0.04",
    ]
    assert second[-2:] == ["not assessable", "\u2013"]
    html = render(page)
    assert html.index("<h3>Skin tone</h3>") > html.index('<section id="performance"')
    assert "Fitzpatrick" not in html


def test_what_is_not_clear_or_not_assessable_is_one_sentence(records: dict[str, Record]) -> None:
    f = records["ring"].findings
    first, second = TONE.estimates
    assert first.trend is not None
    vague = replace(first, trend=replace(first.trend, clear=False))

    def said(*estimates: ToneEstimate) -> str:
        found = skin_tone(replace(f, skin_tone=replace(TONE, estimates=estimates)))
        assert found is not None
        (sentence,) = found.trends
        return sentence

    assert "cannot be told from chance" in said(vague, second)
    few = said(second, second)
    assert "not assessable: it takes 20 right and 20 wrong" in few
    assert few.endswith("here are 70 and 10 at most.")


def test_an_audit_without_it_says_nothing(records: dict[str, Record]) -> None:
    page = build_page(records["ring"])
    assert page.skin_tone is None
    assert "<h3>Skin tone</h3>" not in render(page)
