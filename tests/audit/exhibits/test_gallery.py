"""The images of each outcome: counted in words, and called a choice only where one was made."""

from melaudit.audit.exhibits.exhibits import gallery
from tests.conftest import MakeMeasurements


def test_one_image_is_singular_and_nothing_is_chosen_where_all_are_shown(
    measurements: MakeMeasurements,
) -> None:
    labels, predictions = [0] * 8 + [1] * 2, [0] * 8 + [1, 0]

    said = {
        g.title: (g.statement, len(g.images))
        for g in gallery(measurements({}, labels=labels, predictions=predictions))
    }

    assert said["True negatives"] == (
        "8 images: not malignant, and not predicted so; 5 of them, chosen at random.",
        5,
    )
    assert said["False negatives"] == ("1 image: malignant, but not predicted so.", 1)
    assert said["False positives"] == ("0 images: not malignant, but predicted so.", 0)
