"""What keeps an audit from a pass: everything that applies is tested, or named."""

from __future__ import annotations

import dataclasses

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.artifacts.kinds.hair import Hair
from melaudit.audit.conclude.conclusions import Conclusions
from melaudit.audit.conclude.shortfalls import MIN_IMAGES, shortfalls
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.labelled_artifacts import LabelledArtifacts
from melaudit.findings import (
    Control,
    Failed,
    Finding,
    Missing,
    NotFound,
    Reaction,
    Rung,
    Severity,
    Shortfall,
    Skipped,
    Subject,
    Trust,
)
from melaudit.measurements import Array, Measurements

RING, HAIR = ArtifactDetector(DarkRing()), ArtifactDetector(Hair())
PLANTED = Control("planted_evidence", "Evidence planted", "positive", "Not found.", None, 20, False)


def edited(artifact: str, excluded: bool | None) -> NotFound:
    return NotFound(artifact, 80, 0.1, "share", "s", excluded=excluded, edited=True)


def found(artifact: str, rung: Rung) -> Finding:
    return Finding(
        artifact, artifact, "t", Severity.LOW, 0.9, rung, artifact, (), "s", (), (), "", ""
    )


def said(
    *results: Finding | NotFound | Reaction | Skipped,
    controls: tuple[Control, ...] = (),
    trust: Trust = Trust.TRUSTED,
    images: int = 300,
    edits: int = 40,
    doubts: tuple[str, ...] = (),
) -> tuple[Shortfall, ...]:
    conclusions = Conclusions(
        findings=tuple(r for r in results if isinstance(r, Finding)),
        not_found=tuple(r for r in results if isinstance(r, NotFound)),
        skipped=tuple(r for r in results if isinstance(r, Skipped)),
        reactions=tuple(r for r in results if isinstance(r, Reaction)),
        tests=(),
    )
    return shortfalls(
        (RING, HAIR, LabelledArtifacts()),
        conclusions,
        controls,
        trust,
        doubts=doubts,
        images=images,
        edits=edits,
    )


RING_FINE = edited("dark_ring", True)


def test_nothing_is_open_where_every_artifact_is_excluded_used_or_reacted_to() -> None:
    reaction = Reaction("hair", "It reacts", (), 80, "s", (), "d")
    used = found("hair", Rung.DEPENDENCE)
    for hair in (edited("hair", True), reaction, used):
        assert said(RING_FINE, hair) == ()


def test_an_artifact_that_no_result_is_about_is_untested() -> None:
    (hair,) = said(RING_FINE)
    assert (hair.missing, hair.subject, hair.title) == (Missing.UNTESTED, "hair", HAIR.title)
    assert "--edits 80" in hair.settle


def test_without_edits_nothing_is_tested_whatever_the_data_show() -> None:
    allowed = found("hair", Rung.OPPORTUNITY)
    looked = NotFound("dark_ring", 300, 2.0, "odds ratio", "s")
    both = said(allowed, looked, edits=0)
    assert [s.missing for s in both] == [Missing.UNTESTED] * 2
    assert {s.statement for s in both} == {"no image was edited"}
    assert "--edits 40" in both[0].settle


def test_what_is_not_excluded_is_undecided_and_more_edits_settle_it() -> None:
    for results in (
        [edited("hair", False)],
        [edited("hair", True), edited("hair", False)],  # put in, and taken out
        [edited("hair", None)],
    ):
        (hair,) = said(RING_FINE, *results)
        assert hair.missing is Missing.UNDECIDED
        assert "--edits 160" in hair.settle


def test_as_many_edits_are_asked_for_as_would_exclude_it() -> None:
    open_ = dataclasses.replace(edited("hair", False), needed=140)  # of 80 edited
    (hair,) = said(RING_FINE, open_)
    assert "--edits 70" in hair.settle
    both = said(dataclasses.replace(edited("dark_ring", False), needed=230), open_)
    assert len({s.settle for s in both}) == 1
    assert "--edits 120" in both[0].settle
    large = said(edited("dark_ring", False), open_)  # as it is, it may matter
    assert "--edits 160" in large[0].settle
    assert "too few images" in hair.statement and "too few images" in large[1].statement
    assert "10 of 100 decisions or more" in large[0].statement


def test_one_number_of_edits_is_asked_for_the_largest_that_is_needed() -> None:
    open_ = dataclasses.replace(edited("hair", False), needed=140)  # 70 of each class
    lacking = said(Skipped("dark_ring", "fewer than 8 images could be edited"), open_)
    asked = {word for lack in lacking for word in lack.settle.rstrip(".").split() if word.isdigit()}
    assert asked == {"80"}
    assert any("with 80 images of each class" in lack.settle for lack in lacking)


def test_a_few_that_were_taken_out_do_not_undo_what_putting_in_excludes() -> None:
    assert said(RING_FINE, edited("hair", True), edited("hair", None)) == ()


def test_the_reason_of_a_detector_that_was_skipped_is_given() -> None:
    (hair,) = said(RING_FINE, Skipped("hair", "it failed: ValueError: no"))
    assert hair.statement == "it failed: ValueError: no"


def test_a_kind_that_could_not_be_tested_is_open_whatever_the_others_exclude() -> None:
    skipped = Skipped("hair.grey", "4 of 300 images show grey hairs")
    (hair,) = said(RING_FINE, edited("hair", True), skipped)
    assert (hair.missing, hair.subject) == (Missing.UNTESTED, "hair")
    assert hair.statement == "4 of 300 images show grey hairs"


def test_what_only_the_users_labels_know_is_untested() -> None:
    stamp = NotFound("labelled_artifacts.stamp", 300, 2.0, "odds ratio", "s")
    (open_,) = said(RING_FINE, edited("hair", True), stamp)
    assert (open_.subject, open_.title) == ("labelled_artifacts.stamp", "stamp")
    none_given = Skipped("labelled_artifacts", "no artifact labels of the user's own were given")
    assert said(RING_FINE, edited("hair", True), none_given) == ()


def test_images_maps_controls_and_doubts_count_the_gravest_first() -> None:
    fine = (RING_FINE, edited("hair", True))
    assert said(*fine, images=MIN_IMAGES) == ()
    few = said(
        *fine,
        images=MIN_IMAGES - 1,
        trust=Trust.NOT_CHECKED,
        controls=(PLANTED,),
        doubts=("Near chance.",),
    )
    kinds = [s.missing for s in few]
    assert kinds == [Missing.EVIDENCE, Missing.MAPS, Missing.IMAGES, Missing.CONTROL]
    (broken,) = said(*fine, trust=Trust.UNUSABLE)
    assert broken.missing is Missing.EVIDENCE


class Plugin(Detector):
    """Somebody else's detector, which asks about the model."""

    id, title, subject = "plugin", "A plugin's question", Subject.MODEL

    def measure(self, batch: Batch) -> dict[str, Array]:
        return {}

    def conclude(self, measurements: Measurements) -> list[Result]:
        return []


def lacks(*failed: tuple[str, Failed]) -> tuple[Shortfall, ...]:
    conclusions = Conclusions((), (edited("dark_ring", True),), (), (), ())
    return shortfalls(
        (RING, Plugin()),
        conclusions,
        (),
        Trust.TRUSTED,
        doubts=(),
        images=300,
        edits=40,
        failed=failed,
    )


def test_what_broke_off_is_open_and_the_remedy_leaves_it_out() -> None:
    assert lacks() == ()
    error = KeyError("column")
    discovery, plugin, groups = lacks(
        ("Artifacts that nobody named", Failed.by("discovered", error)),
        ("A plugin's question", Failed.by("plugin.part", error)),
        ("Groups that are decided alike", Failed.by("clusters", error)),
    )
    assert {each.missing for each in (discovery, plugin, groups)} == {Missing.UNTESTED}
    assert "KeyError" in discovery.statement
    assert discovery.settle.endswith("--discover 0.")
    assert plugin.settle.endswith("--without plugin.")
    assert "--" not in groups.settle


def test_an_artifact_that_broke_off_is_open_once() -> None:
    results = said(RING_FINE, Failed.by("hair", KeyError("column")))
    assert [each.subject for each in results] == ["hair"]
    named = [("Hair", Failed.by("hair", KeyError("column")))]
    assert lacks(*named)[0].subject == "hair"  # there, no detector looks for hair
    assert lacks(("Ring", Failed.by("dark_ring", KeyError("column")))) == ()
