"""Reports for sharing: no photograph is recognisable, and no figure is lost."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from melaudit.choices import Sharing
from melaudit.reports import render_report
from melaudit.reports.interface import Record
from melaudit.reports.sharing import COARSE, blank, blurred, shared

MODES = [Sharing.BLUR, Sharing.NO_IMAGES]


def pixels(webp: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"), float)


def photographs(record: Record) -> list[bytes]:
    edits = [v.picture for e in record.edits for v in e.versions]
    return [e.picture for e in record.exhibits.values()] + edits


def stripes(side: int, period: int) -> bytes:
    """Draw stripes, dark and bright by turns, as WebP."""
    columns = (np.arange(side) // (period // 2) % 2 * 200 + 20).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.broadcast_to(columns[None, :, None], (side, side, 3)).copy()).save(
        out, "WEBP", quality=90
    )
    return out.getvalue()


def test_nothing_finer_than_the_cells_survives_the_blur() -> None:
    fine, coarse = stripes(256, 8), stripes(256, 128)
    assert 256 / COARSE == 16
    assert pixels(fine).std() > 80
    assert pixels(blurred(fine)).std() < 6
    assert pixels(blurred(coarse)).std() > 60  # where things lie is still to be seen


def test_a_blank_is_one_grey_of_the_same_size() -> None:
    grey = pixels(blank(stripes(64, 8)))
    assert grey.shape == (64, 64, 3) and np.ptp(grey) == 0


@pytest.mark.parametrize("mode", MODES)
def test_no_photograph_of_the_full_record_is_in_the_shared_one(
    mode: Sharing, records: dict[str, Record]
) -> None:
    full = records["ring"]
    copy = shared(full, mode)
    assert len(photographs(copy)) == len(photographs(full)) > 20
    assert not set(photographs(copy)) & set(photographs(full))


@pytest.mark.parametrize("mode", MODES)
def test_every_word_and_figure_of_the_full_report_is_in_the_shared_one(
    mode: Sharing, records: dict[str, Record]
) -> None:
    full, copy = (
        re.sub(r'href="data:[^"]*"', "", render_report(r))
        for r in (records["ring"], shared(records["ring"], mode))
    )
    # Beyond the notice, nothing is taken away or added.
    assert len(full.splitlines()) <= len(copy.splitlines())
    lines = copy.splitlines()
    missing = [line for line in full.splitlines() if line not in lines]
    assert missing == []


def test_the_reader_is_told(records: dict[str, Record]) -> None:
    copy = shared(records["ring"], Sharing.BLUR)
    assert "blurred" in copy.findings.warnings[0]
    assert shared(copy, Sharing.BLUR).findings.warnings == copy.findings.warnings


def test_the_full_mode_changes_nothing(records: dict[str, Record]) -> None:
    assert shared(records["ring"], Sharing.FULL) is records["ring"]
