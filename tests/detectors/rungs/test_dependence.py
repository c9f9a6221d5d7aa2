"""Dependence and harm, from made-up trials of a ring."""

# Long because: every outcome of edits is tried on the one made-up study of a ring.

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.harm import evidence, harm
from melaudit.detectors.rungs.trials import called, left_alone, log_odds, turned
from melaudit.findings import Finding, NotFound, Reaction, Rung, Severity, Skipped, Trust
from melaudit.measurements import Edit, Measurements, Trials
from melaudit.statistics.correction import settle
from melaudit.statistics.estimates import Estimate
from melaudit.wording.terms import NO_HARM
from tests.said import said

Make = Callable[..., Measurements]
PHRASES = DarkRing().phrases
ADD = Edit("add", "a ring put in")
SKIN = Edit("skin", "a ring of skin", "add")
NOISE = Edit("noise", "a ring of noise", "add")
WHITE = Edit("white", "a white ring", "add", "any high-contrast frame")
REMOVE = Edit("remove", "the ring taken out")
ELSEWHERE = Edit("elsewhere", "the same place filled", "remove")
BARE = Edit("bare", "a ring on skin")


def logits(margin: NDArray[np.float64], outputs: int) -> NDArray[np.float32]:
    """Return logits (m, outputs) whose class 1 stands by `margin` above 0, which others have."""
    if outputs == 1:
        return margin[:, None].astype(np.float32)
    others = np.zeros((len(margin), outputs - 1))
    return np.insert(others, 1, margin, axis=1).astype(np.float32)


def trials(
    shifts: dict[Edit, tuple[Any, float]],
    margins: NDArray[np.float64],
    distance: float = 1.0,
    outputs: int = 2,
    seed: int = 0,
) -> Trials:
    """Build trials in which each edit moves the margin of class 1 of its rows by about so much."""
    rng = np.random.default_rng(seed)
    edits = tuple(shifts)
    parts: list[tuple[NDArray[Any], ...]] = []
    for k, (rows, shift) in enumerate(shifts.values()):
        before = margins[rows]
        after = before + shift + rng.normal(0, 0.3, len(rows))
        parts.append((np.full(len(rows), k), rows, before, after))
    edit, rows, before, after = (np.concatenate(column) for column in zip(*parts, strict=True))

    return Trials(
        edits=edits,
        edit=edit,
        rows=rows,
        dose=np.ones(len(rows)),
        before=logits(before, outputs),
        after=logits(after, outputs),
        distance=np.full(len(rows), distance),
    )


def study(
    make: Make,
    add: float = 4.0,
    skin: float = 0.3,
    white: float = 0.0,
    remove: float = -4.0,
    *,
    noise: float = 0.0,
    elsewhere: float = 0.1,
    rings: tuple[int, int] = (4, 30),
    **more: Any,
) -> Measurements:
    """Build 60 benign and 60 malignant images with margins that go with the label, and trials."""
    n = 60
    labels = np.repeat([0, 1], n)
    rng = np.random.default_rng(1)
    margins = np.where(labels == 1, 1.5, -1.5) + rng.normal(0, 0.8, 2 * n)
    ringed = np.concatenate([np.arange(n) < k for k in rings])
    free, having = np.flatnonzero(~ringed), np.flatnonzero(ringed)
    some = np.concatenate([free[labels[free] == k][:26] for k in (0, 1)])
    shifts: dict[Edit, tuple[Any, float]] = {
        ADD: (some, add),
        SKIN: (some, skin),
        NOISE: (some, noise),
        WHITE: (some, white),
        BARE: (some[:12], add),
    }
    if len(having) >= 8:
        shifts |= {REMOVE: (having, remove), ELSEWHERE: (free[-40:], elsewhere)}
    outputs = more.pop("outputs", 2)
    tried = left_alone(trials(shifts, margins, more.pop("distance", 1.0), outputs))
    side = np.zeros((2 * n, 32, 32), np.uint8)
    table = make(
        {
            "dark_ring.present": ringed,
            "dark_ring.score": ringed * 0.9,
            "dark_ring.rule": ringed,
            "dark_ring.mask": side,
            "dark_ring.share": np.zeros(2 * n),
            "dark_ring.signed": np.zeros(2 * n),
            "dark_ring.area": np.zeros(2 * n),
        },
        labels=labels,
        predictions=(margins > 0).astype(int),
        logits=logits(margins, outputs),
        explanations=Trust.UNUSABLE,
    )
    return dataclasses.replace(table, trials={"dark_ring": tried}, **more)


def used(table: Measurements) -> Dependence:
    (found,) = settle([depend(table, "dark_ring", PHRASES)])
    assert isinstance(found, Dependence)
    return found


def conclude(table: Measurements) -> Any:
    return said(ArtifactDetector(DarkRing()).conclude(table))


def test_a_model_that_goes_by_the_ring_is_found_to_use_it_and_what_that_costs(
    measurements: Make,
) -> None:
    (finding,) = conclude(study(measurements))
    assert isinstance(finding, Finding)
    assert finding.rung is Rung.HARM
    assert finding.severity is Severity.CRITICAL
    assert finding.title == "The model decides by black rings"
    assert finding.classes == ("malignant",)
    assert {e.rung for e in finding.evidence if e.reached} == {
        Rung.OPPORTUNITY,
        Rung.DEPENDENCE,
        Rung.HARM,
    }
    assert "30 of 60 malignant images" in finding.statement
    assert any(table.title == "Right decisions with and without" for table in finding.tables)


def test_where_the_placebo_turns_nearly_all_decisions_the_log_odds_tell(measurements: Make) -> None:
    """A model that any change at the rim convinces cannot be seen to call more images malignant."""
    table = study(measurements, add=12.0, skin=6.0, remove=0.0)
    found = used(table)
    assert found.add is not None
    assert found.add.with_placebo > 0.95
    assert not found.add.seen
    assert found.add.implied
    assert found.add.margin.value == pytest.approx(6.0, abs=0.3)
    (finding,) = conclude(table)
    assert finding.rung is Rung.DEPENDENCE
    assert "decisions on all the images" in finding.statement
    # 52 of 52 by the ring and nearly as many by its placebo: that is no cue of rings alone.
    assert finding.title == "The model decides by any change at the rim, black rings among them"
    assert "a ring of skin for 52 of 52" in finding.statement
    reached = [e.name for e in finding.evidence if e.rung is Rung.DEPENDENCE and e.reached]
    assert reached == ["change of the margin of malignant beyond placebo, ring put in"]


@pytest.mark.parametrize(
    ("add", "skin"),
    [(0.25, 0.0), (6.3, 6.0), (0.0, 6.0)],
    ids=["hardly", "hardly more than the placebo", "the placebo alone"],
)
def test_log_odds_that_turn_few_decisions_are_no_use_however_certain(
    measurements: Make, add: float, skin: float
) -> None:
    found = used(study(measurements, add=add, skin=skin, remove=0.0))
    assert not found.reached
    if add > skin:
        assert found.add is not None
        assert found.add.margin.p_value is not None and found.add.margin.p_value < 0.01


@pytest.mark.parametrize(("outputs", "target"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 1)])
def test_turned_decisions_are_those_whose_log_odds_cross_zero(outputs: int, target: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (200, outputs)).astype(np.float32)
    for shift in (-1.5, 0.0, 0.7):
        share = turned(logits, target, shift)
        if outputs < 3:
            margin = log_odds(logits, target)
            crossed = ((margin > 0) != (margin + shift > 0)).mean()
            assert abs(share) == pytest.approx(crossed)
        assert np.sign(share) == np.sign(shift)


def test_a_model_that_does_not_react_is_not_said_to_use_it(measurements: Make) -> None:
    finding, put_in, taken_out = conclude(study(measurements, add=0.3, skin=0.3, remove=0.1))
    assert isinstance(finding, Finding) and finding.rung is Rung.OPPORTUNITY
    # What the edits say of use stands beside what the data allow.
    assert isinstance(put_in, NotFound) and put_in.edited and put_in.excluded is True
    assert isinstance(taken_out, NotFound) and 30 <= taken_out.n < 36 and taken_out.excluded is None
    assert finding.severity is Severity.LOW
    # 30 rings were taken out: 0 of 30 does not exclude 10 of 100.
    assert "Too few images were edited to tell" in finding.statement
    assert "could have been missed" in finding.statement


def test_what_a_placebo_does_too_is_not_the_ring(measurements: Make) -> None:
    found = used(study(measurements, add=4.0, skin=4.0, remove=0.1))
    assert found.add is not None
    assert found.add.placebo == SKIN
    assert not found.reached
    assert abs(found.add.margin.value) < 0.3


def test_the_placebo_that_moves_decisions_the_most_is_the_one_compared_with(
    measurements: Make,
) -> None:
    found = used(study(measurements, skin=1.0))
    assert found.add is not None
    assert found.add.placebo == SKIN
    assert found.add.margin.value == pytest.approx(3.0, abs=0.3)


def two_placebos(make: Make, ring: int, skin: int, back: int) -> Measurements:
    """Build trials where a ring and a ring of skin turn so many decisions to class 1.

    The skin crosses the boundary by little. Noise moves what is far from the boundary a long way,
    so that the log-odds tell of it most, and turns `back` decisions to the other class.
    """
    table = study(make)
    tried = table.trials["dark_ring"]
    after = tried.after.copy()
    low, high = (np.flatnonzero(called(tried.before, target)) for target in (0, 1))
    for edit, n, far in ((ADD, ring, 3.0), (SKIN, skin, 0.2), (NOISE, 0, 0.0)):
        at = tried.of(edit.id)
        after[at] = tried.before[at]
        after[np.intersect1d(at, low)[:n]] = logits(np.full(n, far), 2)
    noise = tried.of(NOISE.id)
    after[np.intersect1d(noise, low)] = logits(np.array([-0.1]), 2)
    after[np.intersect1d(noise, high)[:back]] = logits(np.array([-0.1]), 2)
    trials = dataclasses.replace(tried, after=after)
    return dataclasses.replace(table, trials={"dark_ring": trials})


def test_decisions_and_log_odds_are_each_held_against_their_own_strongest_placebo(
    measurements: Make,
) -> None:
    table = two_placebos(measurements, ring=16, skin=13, back=0)
    found = used(table)
    effect = found.add
    assert effect is not None
    assert found.target == 1
    assert (effect.placebo, effect.margin_placebo) == (SKIN, NOISE)
    assert effect.share.value == pytest.approx(3 / effect.n)
    assert not effect.seen
    (cost,) = (c for c in harm(table, "dark_ring", found) if c.effect.sign > 0)
    assert cost.placebo == SKIN
    assert cost.loss.value == pytest.approx(3 / cost.n)


def test_a_placebo_that_turns_decisions_the_other_way_makes_no_effect_larger(
    measurements: Make,
) -> None:
    found = used(two_placebos(measurements, ring=1, skin=0, back=6))
    effect = found.add
    assert effect is not None
    assert effect.margin_placebo == NOISE
    assert effect.placebo != NOISE
    assert effect.share.value == pytest.approx(1 / effect.n)


def test_what_does_not_depend_is_told_of_the_class_that_matters(measurements: Make) -> None:
    table = study(measurements, add=-0.4, skin=0.0, remove=0.4)  # towards benign, hardly
    found = used(table)
    assert not found.reached
    assert found.target == 1
    assert used(dataclasses.replace(table, positive=None)).target == 0


def test_counts_and_margins_are_those_of_the_trials(measurements: Make) -> None:
    table = study(measurements)
    tried = table.trials["dark_ring"]
    rows = [i for i in range(len(tried.rows)) if tried.edits[tried.edit[i]] == ADD]
    found = used(table)
    assert found.add is not None
    assert found.add.n == len(rows)
    assert found.add.before == sum(bool(tried.before[i, 1] > tried.before[i, 0]) for i in rows)
    assert found.add.after == sum(bool(tried.after[i, 1] > tried.after[i, 0]) for i in rows)


def test_the_p_value_of_decisions_is_that_of_the_exact_test_of_signs(measurements: Make) -> None:
    found = used(study(measurements, add=1.0, skin=0.0, remove=0.1))
    tried = study(measurements, add=1.0, skin=0.0, remove=0.1).trials["dark_ring"]
    assert found.add is not None
    placebo = tried.of(found.add.placebo.id)
    gained = called(tried.after[tried.of("add")], 1).astype(int) - called(tried.after[placebo], 1)
    more, fewer = int((gained == 1).sum()), int((gained == -1).sum())
    expected = stats.binomtest(more, more + fewer).pvalue
    assert found.add.share.p_value == pytest.approx(expected, abs=0.02)


def test_what_resembles_the_ring_and_acts_alike_changes_the_claim(measurements: Make) -> None:
    (finding,) = conclude(study(measurements, white=4.0))
    assert "any high-contrast frame" in finding.title
    assert "a white ring for" in finding.statement
    (other,) = conclude(study(measurements, white=0.1))
    assert "high-contrast" not in other.title + other.statement


def test_a_reaction_that_the_labels_do_not_reward_is_not_called_learned(
    measurements: Make,
) -> None:
    (finding,) = conclude(study(measurements, rings=(20, 20)))
    assert finding.title == "The model reacts to black rings"
    assert finding.severity is Severity.HIGH  # it costs right decisions, whatever taught it
    assert "learned" in finding.does_not_show


def test_training_data_decide_about_opportunity_when_they_are_given(measurements: Make) -> None:
    labels = np.repeat([0, 1], 200)
    none = {"dark_ring": (np.zeros(400, bool), labels)}
    (finding,) = conclude(study(measurements, training=none))
    assert Rung.OPPORTUNITY not in {e.rung for e in finding.evidence if e.reached}
    assert finding.title == "The model reacts to black rings"
    rich = {"dark_ring": (labels & (np.arange(400) % 2 == 0), labels)}
    rich = {"dark_ring": (rich["dark_ring"][0].astype(bool), labels)}
    (finding,) = conclude(study(measurements, rings=(0, 0), training=rich))
    assert finding.title == "The model decides by black rings"
    assert "training data" in finding.statement


def test_rings_that_no_picture_shows_are_no_finding_whatever_they_do(measurements: Make) -> None:
    (result,) = conclude(study(measurements, rings=(0, 0)))
    assert isinstance(result, Reaction)
    assert "cannot have taught" in result.statement
    assert result.title == "The model reacts to black rings, which these images do not show"
    assert (result.n, result.classes) == (52, ("malignant",))
    assert any(e.reached for e in result.evidence)
    (quiet,) = conclude(study(measurements, rings=(0, 0), add=0.3))
    assert isinstance(quiet, NotFound)
    assert quiet.excluded is True
    assert "does not react" in quiet.statement


def test_a_model_without_skill_is_not_said_to_use_anything(measurements: Make) -> None:
    table = dataclasses.replace(study(measurements), above_chance=False)
    (finding,) = conclude(table)
    assert finding.rung is Rung.OPPORTUNITY
    assert not [e for e in finding.evidence if e.rung in (Rung.DEPENDENCE, Rung.HARM)]


def test_too_few_edits_are_a_reason_and_not_a_guess(measurements: Make) -> None:
    table = study(measurements)
    few = trials({ADD: (np.arange(7), 4.0), SKIN: (np.arange(7), 0.0)}, np.zeros(120))
    assert "fewer than" in str(
        depend(dataclasses.replace(table, trials={"dark_ring": few}), "dark_ring", PHRASES)
    )
    assert isinstance(depend(dataclasses.replace(table, trials={}), "dark_ring", PHRASES), str)


def test_images_of_one_patient_count_once(measurements: Make) -> None:
    table = study(measurements, remove=-0.1, add=1.2)
    alone = used(table)
    few = np.array([f"patient {i % 8}" for i in range(120)], object)
    grouped = used(dataclasses.replace(table, groups=few))
    assert alone.add is not None and grouped.add is not None
    assert grouped.add.share.value == alone.add.share.value
    assert (grouped.add.share.p_value or 0) > (alone.add.share.p_value or 0)


def test_false_alarms_are_rare_where_nothing_happens(measurements: Make) -> None:
    alarms = 0
    table = study(measurements)
    rng = np.random.default_rng(0)
    for seed in range(40):
        rows, margins = np.arange(60), rng.normal(0, 1.0, 120)
        nothing = trials(
            {ADD: (rows, 0.0), SKIN: (rows, 0.0), NOISE: (rows, 0.0)}, margins, seed=seed
        )
        alarms += used(dataclasses.replace(table, trials={"dark_ring": nothing})).reached
    assert alarms <= 2


def test_unnatural_edits_are_said_to_be(measurements: Make) -> None:
    (finding,) = conclude(study(measurements, distance=3.0))
    assert any("3.0 times as far" in e.statement for e in finding.evidence)
    assert "unlike natural ones" in finding.does_not_show
    (natural,) = conclude(study(measurements, distance=1.1))
    assert "unlike natural ones" not in natural.does_not_show


def test_harm_is_counted_on_the_labels_it_endangers(measurements: Make) -> None:
    table = study(measurements)
    every = settle(harm(table, "dark_ring", used(table)))
    costs = {(c.effect.edit.id, c.measure): c for c in every}
    assert set(costs) == {("add", "specificity"), ("remove", "sensitivity")}
    cost = costs["add", "specificity"]
    tried = table.trials["dark_ring"]
    benign = [i for i in tried.of("add") if table.labels[tried.rows[i]] == 0]
    right = [tried.after[i, 1] <= tried.after[i, 0] for i in benign]
    assert cost.n == len(benign)
    assert cost.right_after == sum(map(bool, right))
    assert cost.reached
    assert cost.loss.value > 0.5
    assert all(-1 <= c.loss.low < c.loss.high <= 1 for c in every)


def test_a_loss_that_is_no_harm_says_why(measurements: Make) -> None:
    table = study(measurements)
    costs = settle(harm(table, "dark_ring", used(table)))
    cost = next(c for c in costs if c.reached)
    doubtful = dataclasses.replace(cost, loss=dataclasses.replace(cost.loss, q_value=0.4))
    slight = dataclasses.replace(cost, loss=dataclasses.replace(cost.loss, value=0.01))
    said = [
        evidence((each,), PHRASES, known, table.classes)[0].statement.partition(f"{NO_HARM}: ")[2]
        for each, known in ((cost, True), (cost, False), (doubtful, True), (slight, True))
    ]
    assert said == [
        "",
        "that the model uses it was not shown.",
        f"on {cost.n} images a loss of this size is not clear of chance.",
        "fewer than 5.0 of 100 right decisions are lost.",
    ]


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.25, -0.1, 0.5, "250 right decisions of 1,000 are lost, {} \u2212100 to 500."),
        (-0.25, -0.5, 0.1, "250 right decisions of 1,000 are gained, {} \u2212100 to 500."),
        (0.0, -0.2, 1.0, "0 right decisions of 1,000 are lost, {} \u2212200 to 1,000."),
    ],
)
def test_more_right_decisions_than_before_are_gained_not_lost(
    measurements: Make, value: float, low: float, high: float, said: str
) -> None:
    table = study(measurements)
    cost = settle(harm(table, "dark_ring", used(table)))[0]
    loss = dataclasses.replace(cost.loss, value=value, low=low, high=high)
    (shown,) = evidence((dataclasses.replace(cost, loss=loss),), PHRASES, True, table.classes)
    assert f"beyond the placebo, {said.format('95 % interval')}" in shown.statement


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_log_odds_are_those_of_the_probabilities(outputs: int) -> None:
    logits = np.random.default_rng(0).normal(0, 2, (6, outputs)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits[:, 0])) if outputs == 1 else None
    if p is None:
        exp = np.exp(logits.astype(float))
        p = exp[:, 1] / exp.sum(1)
    assert log_odds(logits, 1) == pytest.approx(np.log(p / (1 - p)), abs=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_other_numbers_of_outputs_are_understood(measurements: Make, outputs: int) -> None:
    table = study(measurements, outputs=outputs)
    if outputs == 3:
        table = dataclasses.replace(table, classes=("benign", "malignant", "other"))
    found = used(table)
    assert found.target == 1
    assert found.reached


def test_a_result_without_trials_or_labels_is_a_skip(measurements: Make) -> None:
    table = study(measurements)
    bare = dataclasses.replace(table, trials={}, labels=np.full(120, -1))
    (result,) = conclude(bare)
    assert isinstance(result, Skipped)


def test_an_edit_that_does_nothing_is_no_use_though_its_placebos_move_the_other_way(
    measurements: Make,
) -> None:
    """Beyond a placebo that scares a model off, anything seems to attract it."""
    table = study(measurements, add=0.0, skin=-2.5, noise=-2.5, remove=0.0, elsewhere=2.5)
    found = used(table)
    assert not found.reached
    assert found.add is not None and found.add.alone
    assert abs(found.add.margin.value) < 0.3
    assert found.remove is not None and found.remove.alone
    finding, *_ = conclude(table)
    assert "no placebo moves decisions that way" in " ".join(e.statement for e in finding.evidence)
    # What does act is held against the picture left alone, and costs what it costs.
    acting = used(study(measurements, add=4.0, skin=-2.5, noise=-2.5))
    assert acting.add is not None and acting.add.alone and acting.add.reached
    assert acting.add.margin.value == pytest.approx(4.0, abs=0.3)
    assert acting.add.with_placebo == pytest.approx(acting.add.before / acting.add.n)


def test_a_reaction_against_the_labels_is_not_called_learned(measurements: Make) -> None:
    """Rings go with malignant, and the model says benign when it sees one."""
    (finding,) = conclude(study(measurements, add=-4.0, skin=-0.3, remove=4.0, elsewhere=-0.1))
    assert finding.title.startswith("The model reacts to")
    assert finding.classes == ("benign",)
    assert {e.rung for e in finding.evidence if e.reached} >= {Rung.OPPORTUNITY, Rung.DEPENDENCE}
    assert "reward another answer" in finding.statement
    assert finding.severity in (Severity.MEDIUM, Severity.HIGH)
    (learned,) = conclude(study(measurements))
    assert learned.title.startswith("The model decides by")
    assert finding.severity.rank < learned.severity.rank
    assert "another class" in finding.does_not_show


FRAME = {"black": 0.93, "white": 0.79, "mean": 0.05}
"""Shares of benign images that a model calls malignant with a frame of each colour."""


def framed(
    make: Make, shares: dict[str, float], n: int, seed: int, called: float = 0.055
) -> Measurements:
    """Build trials on n images of a model that a frame of each colour turns so often."""
    rng = np.random.default_rng(seed)
    rows = np.arange(n)
    before = np.where(rng.random(n) < called, 1.0, -3.0) + rng.normal(0, 0.3, n)

    def after(share: float) -> NDArray[np.float64]:
        return np.where(rng.random(n) < share, 2.0, -3.0) + rng.normal(0, 0.3, n)

    edits = {ADD: shares["black"], WHITE: shares["white"], SKIN: shares["mean"]}
    tried = Trials(
        edits=tuple(edits),
        edit=np.repeat(np.arange(3), n),
        rows=np.tile(rows, 3),
        dose=np.ones(3 * n),
        before=logits(np.tile(before, 3), 2),
        after=logits(np.concatenate([after(share) for share in edits.values()]), 2),
        distance=np.ones(3 * n),
    )
    table = make({}, labels=np.zeros(n, np.int64), logits=logits(before, 2))
    return dataclasses.replace(table, trials={"dark_ring": left_alone(tried)})


@pytest.mark.parametrize("n", [8, 24, 40])
def test_any_frame_is_never_called_black_rings_alone(measurements: Make, n: int) -> None:
    """A model that reacts to any high-contrast frame: its name is right, or says it cannot tell."""
    for seed in range(50):
        found = used(framed(measurements, FRAME, n, seed))
        cue = found.cue("black rings")
        told = "high-contrast frame" in cue or "a white ring acts much the same" in cue
        assert told, f"seed {seed}: {cue}"


@pytest.mark.parametrize("n", [8, 24, 40])
def test_black_rings_alone_are_never_called_any_frame(measurements: Make, n: int) -> None:
    for seed in range(50):
        cue = used(framed(measurements, {**FRAME, "white": 0.05}, n, seed)).cue("black rings")
        assert cue == "black rings" or cue.endswith("(too few images to tell)"), f"{seed}: {cue}"


def test_with_enough_images_what_acts_alike_gives_the_cue_its_name(measurements: Make) -> None:
    cues = [
        used(framed(measurements, {**FRAME, "white": white}, 400, 0)).cue("black rings")
        for white in (0.93, 0.6, 0.3, 0.05)
    ]
    assert cues[0] == "any high-contrast frame, black rings among them"
    assert cues[1] == "black rings (a white ring acts much the same)"
    assert cues[2:] == ["black rings", "black rings"]


def rimmed(make: Make, n: int, placebo: float, seed: int) -> Measurements:
    """Build trials of a ring that turns every decision, and moves log-odds twice as far as skin."""
    rng = np.random.default_rng(seed)
    before = rng.normal(-3, 0.5, n)
    skin = np.where(np.arange(n) < round(placebo * n), 6.0, 1.0) + rng.normal(0, 0.3, n)
    tried = Trials(
        edits=(ADD, SKIN),
        edit=np.repeat([0, 1], n),
        rows=np.tile(np.arange(n), 2),
        dose=np.ones(2 * n),
        before=logits(np.tile(before, 2), 2),
        after=logits(np.concatenate([before + 12, before + skin]), 2),
        distance=np.ones(2 * n),
    )
    table = make({}, labels=np.zeros(n, np.int64), logits=logits(rng.normal(0, 3, 200), 2))
    return dataclasses.replace(table, trials={"dark_ring": left_alone(tried)})


@pytest.mark.parametrize(
    ("n", "placebo", "cue"),
    [
        (48, 45 / 48, "any change at the rim, black rings among them"),
        (8, 0.5, "black rings, or any change at the rim (too few images to tell)"),
        (80, 0.6, "black rings (a ring of skin acts much the same)"),
        (80, 0.1, "black rings"),
    ],
)
def test_a_placebo_that_does_the_same_makes_the_cue_any_change_there(
    measurements: Make, n: int, placebo: float, cue: str
) -> None:
    for seed in range(3):
        found = used(rimmed(measurements, n, placebo, seed))
        assert found.reached
        assert found.cue("black rings") == cue


def test_what_putting_in_and_taking_out_say_against_each_other_is_in_the_claim(
    measurements: Make,
) -> None:
    """Rings put in cost specificity; taking out those that are there changes nothing."""
    (finding,) = conclude(study(measurements, remove=0.0))
    assert "with the ring taken out" in finding.statement
    assert (
        "Adding the ring moves decisions, but removing what the images show does not clearly do so"
    ) in finding.statement
    assert "could have been missed" in finding.statement  # 34 images cannot exclude it
    (other,) = conclude(study(measurements, add=0.0, skin=0.0))
    assert (
        "Removing the ring moves decisions, but adding the ring does not clearly do so"
    ) in other.statement
    # What does nothing when it is put in may be something else where it seems to be.
    assert other.title == "The model decides by what looks like black rings"
    assert "What looks like black rings there may be something else" in other.statement
    (both,) = conclude(study(measurements))
    assert "what looks like" not in (finding.title + both.title + both.statement)
    assert "does not clearly" not in both.statement
    assert "with the ring taken out" in both.statement


def test_absence_is_claimed_only_where_a_change_that_matters_is_excluded(
    measurements: Make,
) -> None:
    """Nothing happens in either case; on few images that proves nothing."""
    still = {"black": 0.05, "white": 0.05, "mean": 0.05}
    few, many_ = (used(framed(measurements, still, n, 0)) for n in (10, 400))
    assert not few.reached and not many_.reached
    assert not few.excluded and few.reach > 0.1
    assert many_.excluded and many_.reach < 0.1


def test_what_stays_behind_its_placebo_is_excluded_whatever_the_placebo_does(
    measurements: Make,
) -> None:
    """A smooth light turns many decisions, and the ring none: that is no dependence on rings."""
    behind = {"black": 0.06, "white": 0.05, "mean": 0.4}
    found = used(framed(measurements, behind, 400, 0))
    assert not found.reached
    assert found.add is not None
    assert found.add.share.high < -0.2
    assert found.excluded and found.reach < 0.1
    # What turns decisions to the other class is open to that side.
    away = used(framed(measurements, {**behind, "black": 0.3}, 40, 0, called=0.5))
    assert not away.excluded


def test_what_turns_many_decisions_is_not_excluded_because_a_placebo_does_the_same(
    measurements: Make,
) -> None:
    """The model reacts to any change of the rim; that it never goes by rings is not shown."""
    alike = {"black": 0.3, "white": 0.3, "mean": 0.3}
    found = used(framed(measurements, alike, 400, 0))
    assert not found.reached
    assert found.add is not None
    assert abs(found.add.share.value) < 0.1
    assert found.excluded is False and found.reach > 0.15
    assert found.add.needed is None


def test_the_images_needed_make_the_interval_narrow_enough(measurements: Make) -> None:
    still = {"black": 0.05, "white": 0.05, "mean": 0.05}
    effect = used(framed(measurements, still, 80, 0)).add
    assert effect is not None
    none = Estimate(0.02, 0.02, 0.02)
    share = dataclasses.replace(effect.share, value=0.02, low=-0.06, high=0.12)
    open_ = dataclasses.replace(effect, share=share, turning=none, opposite=None)
    assert open_.excluded is False
    assert open_.needed == 125  # .10 of width in .08 of room: 80 * (10 / 8) ** 2
    large = dataclasses.replace(open_, share=dataclasses.replace(share, value=0.1))
    assert large.needed is None


def test_of_several_classes_the_one_is_named_that_decisions_go_to(measurements: Make) -> None:
    """The log-odds of class 2 move the most, but class 1 rises too and takes the decisions."""
    rng = np.random.default_rng(0)
    n = 60
    before = np.zeros((n, 4)) + rng.normal(0, 0.2, (n, 4))
    before[:, 0] += 3
    before[:, 2] -= 14
    shift = np.array([0.0, 6.0, 10.0, 0.0])
    names = ("a", "b", "c", "d")
    after = before + shift + rng.normal(0, 0.2, (n, 4))
    placebo = before + rng.normal(0, 0.2, (n, 4))
    tried = Trials(
        edits=(ADD, SKIN),
        edit=np.repeat([0, 1], n),
        rows=np.tile(np.arange(n), 2),
        dose=np.ones(2 * n),
        before=np.tile(before, (2, 1)).astype(np.float32),
        after=np.concatenate([after, placebo]).astype(np.float32),
        distance=np.ones(2 * n),
    )
    table = measurements(
        {}, labels=np.zeros(n, np.int64), logits=before.astype(np.float32), classes=names,
        positive=None,
    )  # fmt: skip
    found = used(dataclasses.replace(table, trials={"dark_ring": left_alone(tried)}))
    assert found.add is not None
    own = log_odds(tried.after[:n], 2) - log_odds(tried.before[:n], 2)
    other = log_odds(tried.after[:n], 1) - log_odds(tried.before[:n], 1)
    assert own.mean() > other.mean() > 0
    assert names[found.target] == "b"
    assert (found.add.before, found.add.after) == (0, n)
    # Counted with all logits moved: as many decisions turn as do on the very images.
    assert found.add.turning.value == pytest.approx(1.0, abs=0.05)


def test_a_single_logit_that_decides_one_way_under_every_edit_is_weighed_as_two_are(
    measurements: Make,
) -> None:
    """All decisions are for class 0 before, under the placebo and after: none is of class 1."""
    n = 30
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], n)
    margins = np.where(labels == 1, 2.0, -6.0) + rng.normal(0, 0.3, 2 * n)
    low = np.flatnonzero(labels == 0)
    found = []
    for outputs in (1, 2):
        tried = left_alone(trials({ADD: (low, 2.0), SKIN: (low, 0.1)}, margins, outputs=outputs))
        table = measurements({}, labels=labels, logits=logits(margins, outputs))
        found.append(used(dataclasses.replace(table, trials={"dark_ring": tried})))
    one, two = (each.add for each in found)
    assert one is not None and two is not None
    assert (one.before, one.after, one.n) == (two.before, two.after, two.n)
    assert one.margin.value == pytest.approx(two.margin.value, abs=1e-4)
