"""A scan as text, CSV, JSON and HTML: the figures are there, and foreign names do no harm."""

from __future__ import annotations

import csv
import io
import json
import math
import re

from melaudit.reports.scan import Scan, Scanned, build_scan_page, to_csv, to_html, to_json, to_text

RING = Scanned(
    artifact="dark_ring",
    title="Black ring",
    n=100,
    present=21,
    by_label={"benign": (1, 50), "=malignant": (20, 50)},
    label="=malignant",
    odds_ratio=32.7,
    ci_low=4.6,
    ci_high=math.inf,
    p_value=0.00001,
    q_value=0.00002,
    reached=True,
    reason="",
    examples=("m/<img src=x onerror=alert(1)>.jpg", "m/b\u202egpj.exe"),
)
BLUR = Scanned(
    artifact="blur",
    title="Blurred picture",
    n=100,
    present=2,
    by_label={"benign": (1, 50), "=malignant": (1, 50)},
    label=None,
    odds_ratio=None,
    ci_low=None,
    ci_high=None,
    p_value=None,
    q_value=None,
    reached=False,
    reason="fewer than 5 with or without",
    examples=(),
)
SCAN = Scan(
    data="images, image folder: 100 images",
    classes=("benign", "=malignant"),
    read=100,
    labelled=100,
    skipped={"truncated": 3},
    artifacts=(RING, BLUR),
    failed={"sticker": "100 images failed, the first with ValueError: <b>"},
    version="0.1.0",
)


def test_the_table_has_counts_ratio_interval_and_q() -> None:
    page = build_scan_page(SCAN)
    ring, blur = page.table.rows
    assert ring[0] == "Black ring"
    assert ring[2:5] == ("=malignant", "20 of 50", "1 of 50")
    assert ring[5] == "32.7"
    assert ring[6] == "at least 4.6"
    assert blur[6] == "fewer than 5 with or without"
    assert "Black ring (=malignant)" in page.statement


def test_what_was_left_out_is_said() -> None:
    text = to_text(SCAN)
    assert "3 left out (truncated: 3)" in text
    assert "sticker was left out" in text
    assert "not what any model does" in text
    assert len({line.index("odds ratio") for line in text.splitlines()[:1]}) == 1


def test_csv_has_a_line_per_label_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(SCAN))))
    assert len(rows) == 4
    assert [row["showing_it"] for row in rows] == ["1", "20", "1", "1"]
    assert rows[1]["label"] == "'=malignant"
    assert rows[0]["odds_ratio"] == "32.7"
    assert rows[2]["odds_ratio"] == ""


def test_json_is_plain_and_the_same_each_time() -> None:
    text = to_json(SCAN)
    assert text.isascii() and text == to_json(SCAN)
    read = json.loads(text)
    assert read["artifacts"][0]["ci_high"] is None
    assert read["artifacts"][0]["by_label"]["=malignant"] == [20, 50]


def test_the_page_needs_nothing_else_and_escapes_names() -> None:
    page = to_html(SCAN)
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "\u202e" not in page and "U+202E" in page
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["']https?:""", page)
    assert set(re.findall(r'href="#([\w-]+)"', page)) <= set(re.findall(r'id="([\w-]+)"', page))


def test_images_without_labels_are_said_to_have_none() -> None:
    bare = Scan("images", (), 10, 0, {}, (), {}, "0.1.0")
    assert "no labels" in build_scan_page(bare).statement
    assert "10 images read" in to_text(bare).replace("\u00a0", " ")
