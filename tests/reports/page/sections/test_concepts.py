"""Tests of the section on methods and channels."""

from dataclasses import replace

from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page


def test_channels_share_one_scale_and_faint_ones_are_called_so(pages: dict[str, Page]) -> None:
    (strip,) = pages["ring"].concepts.strips

    assert [(c.title, c.share, c.faint) for c in strip.channels] == [
        ("channel 1203", "8.2\u00a0%", False),
        ("channel 88", "4.1\u00a0%", False),
        ("channel 411", "0.1\u00a0%", True),
    ]
    assert [c.asks for c in pages["ring"].concepts.checks] == [
        "Does each channel's map show its own channel?"
    ]


def test_grad_cam_stands_beside_lrp_with_how_far_both_agree(
    records: dict[str, Record], pages: dict[str, Page]
) -> None:
    (strip,) = pages["ring"].concepts.strips

    assert strip.opinion is not None
    assert [(m.title, m.agrees) for m in strip.opinion.maps] == [
        ("LRP", ""),
        ("CRP, channel 1203", "8.2\u00a0% of the output"),
        ("Grad-CAM", "agreement with LRP 0.51"),
        ("Grad-CAM with attention", "agreement with Grad-CAM 0.98"),
    ]
    assert strip.opinion.maps[0].map == strip.tile.map
    blocks = {plate.id: plate.blocks for plate in pages["ring"].plates}
    assert blocks[strip.opinion.maps[2].map]
    assert "only 4 \u00d7 4 values" in strip.opinion.statement
    assert "2048 channels); counting that in hardly changes" in strip.opinion.statement

    (opinion,) = records["ring"].opinions
    other = replace(opinion, agreement=None, attended=None, attended_agreement=None)
    (strip,) = build_page(replace(records["ring"], opinions=(other,))).concepts.strips
    assert strip.opinion is not None
    assert [m.title for m in strip.opinion.maps] == ["LRP", "CRP, channel 1203", "Grad-CAM"]
    assert "agreement with LRP unknown (an empty map)" in strip.opinion.statement
    assert "weighs its channels" not in strip.opinion.statement

    moved = replace(opinion, attended_agreement=-0.3)
    (strip,) = build_page(replace(records["ring"], opinions=(moved,))).concepts.strips
    assert strip.opinion is not None
    assert "counting that in changes the Grad-CAM picture: agreement \u22120.30." in (
        strip.opinion.statement
    )

    (strip,) = build_page(replace(records["ring"], opinions=())).concepts.strips
    assert strip.opinion is None


def test_a_broken_row_is_the_whole_map_under_every_channel(pages: dict[str, Page]) -> None:
    (strip,) = pages["ring"].concepts.strips

    assert {v.map for v in strip.broken} == {strip.tile.map}
    assert [v.title for v in strip.broken] == [v.title for v in strip.channels]
    assert all(s.broken == () for s in pages["unusable"].concepts.strips)


def test_a_channels_card_stands_where_its_cluster_points(records: dict[str, Record]) -> None:
    page = build_page(records["ring"])
    (card,) = page.concepts.cards
    assert card.why == "Marks cluster M-1"
    assert len(card.details) == 3
    facts = dict(card.facts)
    assert facts["Looks outside the central half"] == "84\u00a0%, other channels 53\u00a0%"
    assert "dark ring 96" in facts["More frequent on its 25\u00a0strongest images"]
    cluster = next(c for c in page.clusters.cards if c.predicted == "malignant")
    links = {text.split()[0]: link for text, link in cluster.channels}
    assert links.get("1203") == card.anchor


def test_a_grad_cam_of_few_blocks_is_not_shown_as_an_opinion(records: dict[str, Record]) -> None:
    record = records["ring"]
    (opinion,) = record.opinions
    coarse = replace(opinion, grad_cam=opinion.grad_cam[:2, :2])

    (strip, *_) = build_page(replace(record, opinions=(coarse,))).concepts.strips

    assert strip.opinion is not None
    assert [m.title.split(",")[0] for m in strip.opinion.maps] == ["LRP", "CRP"]
    assert "2 \u00d7 2 values" in strip.opinion.statement
