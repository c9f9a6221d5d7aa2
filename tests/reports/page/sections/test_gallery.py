"""Tests of the typical images."""

from dataclasses import replace

from melaudit.reports.interface import Group, Record
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.gallery import gallery


def test_pictures_that_are_few_are_shared_out_evenly_over_right_and_wrong(
    records: dict[str, Record],
) -> None:
    record = records["ring"]
    names = tuple(record.exhibits)
    groups = tuple(Group(f"Group {k}", "", names[k::4]) for k in range(4))

    shown = gallery(
        replace(record, gallery=groups), Plates(record.exhibits, max_tiles=8), maps=False
    )

    assert min(len(names[k::4]) for k in range(4)) >= 2
    assert [len(group.tiles.shown) for group in shown] == [2, 2, 2, 2]
    assert [t.name for t in shown[3].tiles.shown] == list(names[3::4][:2])
