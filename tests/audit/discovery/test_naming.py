"""What a discovered artifact is called."""

from __future__ import annotations

import numpy as np

from melaudit.artifacts.discovered import Source
from melaudit.artifacts.interface import Phrases
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.artifacts.kinds.hair import Hair
from melaudit.audit.discovery.naming import likeness, name, reviewed


def _ringed(radius: int = 56) -> Source:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:120, :120] - 59.5
    image = np.full((120, 120, 3), (220, 180, 160)) + rng.normal(0, 3, (120, 120, 3))
    outside = np.hypot(y, x) > radius
    image[outside] = 4
    return Source(np.clip(image, 0, 255).astype(np.uint8), outside)


def test_a_part_is_like_the_artifact_whose_finder_marks_its_places() -> None:
    found = likeness([_ringed()], (), [Hair(), DarkRing()])
    assert found is not None
    artifact, share = found
    assert artifact.id == "dark_ring"
    assert share > 0.9
    called = name([_ringed()], (), (), [Hair(), DarkRing()], {}, ())
    assert called.id == "discovered_like_dark_ring"
    assert "100 % of its places" in called.said or "99" in called.said


def test_the_same_ring_elsewhere_is_not_what_the_part_is_like() -> None:
    ringed = _ringed()
    middle = np.zeros_like(ringed.mask)
    middle[40:80, 40:80] = True
    assert likeness([Source(ringed.image, middle)], (), [Hair(), DarkRing()]) is None
    called = name([Source(ringed.image, middle)], (), (), [DarkRing()], {}, ())
    assert called.id == "discovered_1"
    assert "suspicious.csv" in called.said


def test_a_part_with_skin_beside_the_ring_is_like_it_where_others_lack_the_ring() -> None:
    ringed = _ringed(35)
    y, x = np.mgrid[:120, :120] - 59.5
    wide = (np.hypot(y, x) > 20) & (x < 0)
    skin = np.full((120, 120, 3), 190, np.uint8)
    part = Source(ringed.image, wide)
    found = likeness([part], [skin, skin[:60]], [DarkRing()])
    assert found is not None
    assert 0.5 <= found[1] < 0.9
    assert likeness([part], (), [DarkRing()]) is None, "the ring goes on beyond the part"
    assert likeness([part], [ringed.image], [DarkRing()]) is None, "others show the same"


def test_a_reviewer_has_the_last_word() -> None:
    reviews = {"a": "blue sticker", "b": "blue sticker", "c": "blue sticker", "d": "none", "e": ""}
    called = name([_ringed()], (), "abcde", [DarkRing()], reviews, ())
    assert called.id == "discovered_blue_sticker"
    assert "blue sticker" in called.phrases.things


def test_a_name_is_that_of_most_reviewed_images_and_of_more_than_a_few() -> None:
    assert reviewed("abc", {"a": "ink", "b": "ink", "c": "ink", "d": "hair"}) == "ink"
    assert reviewed("abcd", {"a": "ink", "b": "ink", "c": "hair", "d": "hair"}) == ""
    assert reviewed("abcdefg", dict.fromkeys("abc", "ink") | dict.fromkeys("defg", "none")) == ""
    assert reviewed("ab", {"a": "ink", "b": "ink"}) == ""


def test_no_two_parts_have_one_name() -> None:
    source = _ringed()
    first = name([source], (), (), [DarkRing()], {}, ())
    second = name([source], (), (), [DarkRing()], {}, [first.id])
    third = name([source], (), (), [DarkRing()], {}, [first.id, second.id])
    assert len({first.id, second.id, third.id}) == 3
    assert isinstance(second.phrases, Phrases)
    assert second.phrases.shows != first.phrases.shows
    unnamed = name([source], (), (), [], {}, ["discovered_1", first.id])
    assert unnamed.id == "discovered_2"
