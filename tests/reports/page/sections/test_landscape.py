"""Tests of the map of strategies as data."""

from dataclasses import replace

from melaudit.reports import build_page
from melaudit.reports.interface import Record
from melaudit.reports.page.page import Page
from melaudit.reports.page.sections.landscape import MAX_COLOURED, WIDTH, landscape


def points(path: str) -> list[tuple[float, float]]:
    """Read the places back from a path of dots."""
    return [
        (float(x), float(y))
        for x, y in (part.removesuffix("h0").split(" ") for part in path.split("M")[1:])
    ]


def test_every_image_is_one_point_with_its_name(
    records: dict[str, Record], pages: dict[str, Page]
) -> None:
    section, places = pages["ring"].landscape, records["ring"].landscape

    assert section is not None and places is not None
    drawn = [p for c in section.clouds for p in points(c.right) + points(c.wrong)]
    names = [n for c in section.clouds for n in c.names]
    assert len(drawn) == len(names) == len(places.images) == 200
    assert all(0 <= x <= WIDTH and 0 <= y <= float(section.height) for x, y in drawn)
    assert {n.split(":")[0] for n in names} == set(places.images)
    assert section.note == "200 of 1,000\u00a0images drawn."


def test_wrong_calls_are_drawn_apart(records: dict[str, Record], pages: dict[str, Page]) -> None:
    section, places = pages["ring"].landscape, records["ring"].landscape
    assert section is not None and places is not None

    wrong = sum(a != b for a, b in zip(places.labels, places.predictions, strict=True))

    assert sum(len(points(c.wrong)) for c in section.clouds) == wrong > 0
    assert sum(int(c.n_wrong) for c in section.clouds) == wrong
    assert section.any_wrong


def test_clusters_lie_where_their_images_lie(pages: dict[str, Page]) -> None:
    section = pages["ring"].landscape
    assert section is not None
    first, second, rest = section.clouds

    assert [(c.title, c.link) for c in (first, second)] == [
        ("M-1", "cluster-1"),
        ("B-1", "cluster-2"),
    ]
    assert (rest.title, rest.link, rest.style) == ("in no named cluster", "", MAX_COLOURED)
    # M-1 alone is called malignant; the less frequent class has the second frame.
    assert [f.title for f in section.frames] == ["predicted benign", "predicted malignant"]
    assert int(second.at[0]) < float(section.frames[1].x) < int(first.at[0])


def test_each_class_has_a_frame_that_its_points_fill(
    records: dict[str, Record], pages: dict[str, Page]
) -> None:
    section = pages["ring"].landscape
    assert section is not None
    malignant = section.frames[1]
    cloud = section.clouds[0]

    xs = [x for x, _ in points(cloud.right) + points(cloud.wrong)]

    left, width = float(malignant.x), float(malignant.width)
    assert left < min(xs) < left + width / 4
    assert left + width * 3 / 4 < max(xs) < left + width


def test_no_name_stands_out_of_the_map(records: dict[str, Record]) -> None:
    record = records["ring"]
    long = "a-very-long-class-name-1"
    assert record.landscape is not None
    clusters = (replace(record.findings.clusters[0], id=long), *record.findings.clusters[1:])
    moved = replace(
        record.landscape,
        clusters=tuple(long if c == "M-1" else c for c in record.landscape.clusters),
    )

    section = landscape(
        replace(record, landscape=moved, findings=replace(record.findings, clusters=clusters)), 2
    )

    assert section is not None
    x, half = int(section.clouds[0].at[0]), len(long) * 6 / 2
    assert half <= x <= WIDTH - half


def test_many_clusters_share_the_last_colour(pages: dict[str, Page]) -> None:
    section = pages["crowd"].landscape

    assert section is not None
    assert [c.style for c in section.clouds] == list(range(MAX_COLOURED + 1))


def test_unlabelled_images_are_never_wrong(records: dict[str, Record]) -> None:
    record = records["ring"]
    assert record.landscape is not None
    bare = replace(record.landscape, labels=(None,) * len(record.landscape.images))

    section = landscape(replace(record, landscape=bare), 2)

    assert section is not None and not section.any_wrong
    assert all("no label" in n for c in section.clouds for n in c.names)


def test_one_stray_point_does_not_squeeze_the_others(records: dict[str, Record]) -> None:
    record = records["ring"]
    assert record.landscape is not None
    far = replace(record.landscape, x=(1e6, *record.landscape.x[1:]))

    section = landscape(replace(record, landscape=far), 2)

    assert section is not None
    xs = sorted(x for c in section.clouds for x, _ in points(c.right) + points(c.wrong))
    assert xs[len(xs) // 4] < WIDTH / 2 < xs[-len(xs) // 4]


def test_without_places_there_is_no_map(records: dict[str, Record]) -> None:
    page = build_page(replace(records["ring"], landscape=None))

    assert page.landscape is None
    assert "landscape" not in {link.anchor for link in page.contents}
