"""What both heads do on the same pictures, counted by hand."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.findings import CueChange, Measured, Outcome, Paired
from melaudit.mitigation.head import Head
from melaudit.mitigation.proof import Heads, Images, cue_change, flips, growth, share_right
from melaudit.mitigation.statement import outcome_of, statement
from melaudit.mitigation.views import PutIn, View

N = 40


def _head(ring: float) -> Head:
    """Return a head that predicts 1 from the first feature, and from the second by `ring`."""
    weight = np.array([[0.0, 0.0], [1.0, ring]])
    return Head("fc", weight, np.zeros(2), np.eye(2), np.zeros(2))


def _view(lesion: float, ring: float, n: int = N) -> View:
    lesions = np.where(np.arange(n) % 4 == 0, -lesion, lesion)
    features = np.stack([lesions, np.full(n, ring)], 1).astype(np.float32)
    return View(features, np.arange(n))


IMAGES = Images(
    labels=np.where(np.arange(N) % 4 == 0, 0, 1),
    classes=("benign", "malignant"),
    positive=1,
    units=np.arange(N).astype(str).astype(object),
    seed=0,
)


def test_a_flip_is_what_the_artifact_turns_beyond_the_strongest_placebo() -> None:
    natural, put = _view(1, 0), PutIn(_view(1, 2), (_view(1, -3), _view(1, 0.5)))
    assert flips(_head(1.0), put, natural, 1).sum() == N / 4  # only these were predicted benign
    assert flips(_head(0.0), put, natural, 1).sum() == 0
    # A placebo that turns as many leaves nothing beyond it.
    alike = PutIn(put.added, (_view(1, 5),))
    assert flips(_head(1.0), alike, natural, 1).sum() == 0


def test_a_change_is_paired_and_has_its_interval() -> None:
    natural, put = _view(1, 0), PutIn(_view(1, 2), ())
    heads = Heads(_head(1.0), _head(0.0))
    change = cue_change(heads, put, natural, 1, IMAGES, key="dark_ring", title="Ring")
    share = change.flips
    assert (share.before, share.after, share.change, share.n) == (0.25, 0.0, -0.25, N)
    assert share.ci_low < -0.25 < share.ci_high < 0
    assert share.falls and not change.grew
    back = cue_change(Heads(_head(0.0), _head(1.0)), put, natural, 1, IMAGES, key="k", title="t")
    assert back.flips.rises and back.grew


def test_growth_is_clear_of_the_placebo_too_and_of_how_many_were_looked_at() -> None:
    natural = _view(1, 0)
    change = partial(cue_change, key="k", title="t")
    # Before, the placebo turned a quarter of the images, and the artifact none; now neither does.
    put = PutIn(_view(1, 0), (_view(1, 2),))
    heads = Heads(_head(1.0), _head(0.0))
    gone = change(heads, put, natural, 1, IMAGES)
    assert gone.flips.before == -0.25 and gone.flips.rises
    assert growth(gone.flips) == 0 and not gone.grew
    grows = Heads(_head(0.0), _head(1.0)), PutIn(_view(1, 2), ())
    assert change(*grows, natural, 1, IMAGES, compared=10).grew
    few = replace(IMAGES, units=np.repeat(np.arange(6), N // 6 + 1)[:N].astype(str).astype(object))
    assert not change(*grows, natural, 1, few, compared=10**6).grew


def test_images_of_one_patient_count_together() -> None:
    natural = _view(1, 0)
    heads = Heads(_head(-2.0), _head(0.0))
    ringed = View(_view(1, 1).features, natural.rows)
    alone = share_right(heads, ringed, IMAGES)
    units = np.repeat(np.arange(N // 4), 4).astype(str).astype(object)
    together = share_right(heads, ringed, Images(IMAGES.labels, IMAGES.classes, 1, units, 0))
    assert alone.change == together.change == pytest.approx(0.75)
    assert together.ci_high - together.ci_low > alone.ci_high - alone.ci_low


def _cue(before: float, after: float, half: float) -> CueChange:
    change = after - before
    share = Paired(before, after, change, change - half, change + half, 100)
    return CueChange("k", "White frame", "malignant", share, change >= 0.05 and change > half)


KEPT = Measured("benign, ring-free", Paired(0.95, 0.94, -0.01, -0.03, 0.01, 100), False)
LOST = Measured("malignant, ringed", Paired(0.99, 0.90, -0.09, -0.15, -0.03, 100), True)


@pytest.mark.parametrize(
    ("cue", "group", "other", "outcome"),
    [
        (_cue(0.4, 0.02, 0.1), KEPT, _cue(0.1, 0.1, 0.1), Outcome.REDUCED),
        (_cue(0.4, 0.02, 0.1), LOST, _cue(0.1, 0.1, 0.1), Outcome.AT_A_COST),
        (_cue(0.4, 0.02, 0.1), KEPT, _cue(0.1, 0.4, 0.1), Outcome.AT_A_COST),
        (_cue(0.4, 0.35, 0.1), KEPT, _cue(0.1, 0.1, 0.1), Outcome.NOT_REDUCED),
    ],
)
def test_what_it_came_to(
    cue: CueChange, group: Measured, other: CueChange, outcome: Outcome
) -> None:
    assert outcome_of(cue, [group], [other]) is outcome
    said = statement(
        DarkRing().phrases, "malignant", cue, _cue(0.4, 0.41, 0.05), [], [group], [other], 0.02
    )
    assert "removed" not in said
    assert ("are reduced from 400 to 20 of 1,000, by 380 [280 to 480]" in said) is cue.flips.falls
    assert ("More than 2 points are lost in malignant, ringed" in said) is group.lost
    assert ("Decisions follow something else more than before" in said) is other.grew
