"""Whatever is left of a claim once its tests are corrected, its words claim that and no more.

Guilty examples of every detector, their p-values dealt anew at random, among random other tests:
title, statement, confidence, severity and limits are held against the evidence that remains.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.audit.conclude.conclusions import worded
from melaudit.audit.groups.cluster_findings import cluster_claims, looks
from melaudit.audit.groups.suppression import suppress
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.border_relevance import BorderRelevance
from melaudit.detectors.claim import Claim
from melaudit.detectors.fixed_position import FixedPosition
from melaudit.detectors.interface import Detector
from melaudit.detectors.labelled_artifacts import LabelledArtifacts
from melaudit.detectors.measures.recurrence import detail
from melaudit.detectors.metadata import Metadata
from melaudit.detectors.outside_object import OutsideObject
from melaudit.detectors.property_label import PropertyLabel
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.findings import Finding, NotFound, Rung, severity_of
from melaudit.measurements import Measurements
from melaudit.statistics.correction import tests_in, with_tests
from melaudit.statistics.estimates import Tested
from melaudit.wording.sentences import first_sentence
from tests.audit.groups import test_suppression as groups
from tests.detectors import (
    test_artifact,
    test_border_relevance,
    test_fixed_position,
    test_labelled_artifacts,
    test_metadata,
    test_outside_object,
    test_property_label,
)
from tests.detectors.rungs import test_dependence
from tests.plain_words import UNWANTED, hard

Make = Callable[..., Measurements]
SEEDS = 150
USE = re.compile(r"decides by|reacts to|log-odds goes? on|the decision's log-odds")
REWARD = re.compile(r"\ballow it\b|goes? with|and they go with")
LOOK = re.compile(r"\b(looks|errs where it looks)\b")


def claims_of(detector: Detector, table: Measurements) -> list[Claim[Any]]:
    return [r for r in detector.conclude(table) if isinstance(r, Claim)]


def artifact(make: Make) -> list[Claim[Any]]:
    """Return the claim on a ring that the data reward, the model looks at, uses and pays for."""
    (claim,) = claims_of(ArtifactDetector(DarkRing()), test_dependence.study(make))
    ringed, labels = test_artifact.sample(100, (4, 60))
    (seen,) = claims_of(
        ArtifactDetector(DarkRing()), test_artifact.table(make, ringed, labels, look=0.3)
    )
    climb = dataclasses.replace(claim.tested, look=seen.tested.look)
    return [dataclasses.replace(claim, tested=climb)]


def border(make: Make) -> list[Claim[Any]]:
    relevance = test_border_relevance.maps(200, halo=1)
    test_border_relevance.marked(relevance, slice(12), test_border_relevance.MARK, 0.6)
    ringed = np.arange(200) < 6
    return claims_of(BorderRelevance(), test_border_relevance.table(make, relevance, ringed))


def fixed(make: Make) -> list[Claim[Any]]:
    marked = test_fixed_position.MARKED
    relevance = test_fixed_position.maps(len(marked), 0.1 * marked)
    columns = {
        "fixed_position.detail": detail(test_fixed_position.pictures(len(marked), marked)),
        "relevance.positive": relevance,
        "relevance.negative": np.zeros_like(relevance),
    }
    return claims_of(FixedPosition(), make(columns, labels=test_fixed_position.LABELS))


def lesion(make: Make) -> list[Claim[Any]]:
    labels = test_outside_object.LABELS
    weight = np.where(labels == 1, 0.3, 4.0)
    wrong = np.arange(len(labels)) % 4 == 0
    weight = np.where(wrong, weight / 3, weight)
    columns = test_outside_object.columns(test_outside_object.lesions(), weight)
    predictions = np.where(wrong, 1 - labels, labels)
    return claims_of(
        OutsideObject(DERMOSCOPY.words), make(columns, labels=labels, predictions=predictions)
    )


def metadata(make: Make) -> list[Claim[Any]]:
    sites, labels = test_metadata.SITES, test_metadata.LABELS
    clinic = sites == "clinic b"
    missed = clinic & (labels == 1) & (np.arange(len(labels)) % 3 > 0)
    sex = np.where(labels == 1, "m", "f").astype(object)
    sex[::5] = "f"
    table = make(
        test_metadata.concepts(2.0 * clinic),
        labels=labels,
        predictions=test_metadata.wrong_where(missed),
    )
    return claims_of(Metadata(), dataclasses.replace(table, metadata={"source": sites, "sex": sex}))


def properties(make: Make) -> list[Claim[Any]]:
    labels = np.repeat([0, 1], 150)
    columns = test_property_label.properties(300)
    for name in ("lightness", "lightness_around", "sharpness", "red"):
        columns[f"property_label.{name}"] -= 1.2 * labels.astype(np.float32)
    return claims_of(PropertyLabel(), make(columns, labels=labels, predictions=labels))


def labelled(make: Make) -> list[Claim[Any]]:
    codes = np.where(test_labelled_artifacts.LABELS == 1, np.arange(120) % 2, 0)
    return claims_of(LabelledArtifacts(), test_labelled_artifacts.labelled(make, codes))


def clusters(make: Make) -> list[Claim[Any]]:
    table, laboratory, rows = groups.made(by_marks=True)
    found = groups.cluster(rows, suppress(rows, 1, table, laboratory))
    return list(cluster_claims(looks([found], {found.id: rows}, table), table))


GUILTY = (artifact, border, fixed, lesion, metadata, properties, labelled, clusters)


def dealt(claim: Claim[Any], rng: np.random.Generator) -> Claim[Any]:
    """Return a claim with p-values from certain to none, evenly on a log scale."""
    others = {
        id(t): dataclasses.replace(t, p_value=float(10 ** rng.uniform(-9, 0)))
        for t in tests_in(claim.tested)
    }
    return dataclasses.replace(claim, tested=with_tests(claim.tested, others))


def crowd(rng: np.random.Generator) -> Iterator[Claim[Any]]:
    """Yield other claims of the run, from none to many, that test what is nothing."""
    for i in range(int(rng.integers(0, 40))):
        test = Tested(1.0, 0.5, 2.0, float(rng.random()))
        yield Claim(
            f"other{i}",
            test,
            evidence=lambda _: (),
            word=lambda _, __: [NotFound("other", 1, None, "", "nothing")],
        )


def held(found: Finding) -> None:
    """Hold every word of a finding against what its evidence carries."""
    rungs = {e.rung for e in found.evidence if e.reached}
    used = bool(rungs & {Rung.DEPENDENCE, Rung.HARM})
    for e in found.evidence:
        assert not e.reached or (e.q_value is not None and e.q_value <= 0.05), e.name
    assert found.rung is max(rungs, key=lambda rung: rung.rank)
    assert used or not USE.search(found.title), found.title
    assert Rung.OPPORTUNITY in rungs or not REWARD.search(found.title), found.title
    assert used or Rung.ATTENTION in rungs or not LOOK.search(found.title), found.title
    if "allow it" in found.statement:
        assert Rung.OPPORTUNITY in rungs, found.statement
    if "The model looks there" in found.statement:
        assert Rung.ATTENTION in rungs, found.statement
    if not used:
        untested = re.compile(r"uses|depend|causes the errors|decides by|goes by|anything but")
        assert untested.search(found.does_not_show), found.does_not_show
    certain = [min(q for q in of) for of in _by_rung(found).values()]
    sure = max(0.0, 1 - 2 * math.sqrt(max(certain)))
    assert found.confidence <= round(sure, 3)
    rule = severity_of({*rungs, Rung.OPPORTUNITY}, {e.rung for e in found.evidence})
    assert found.severity.rank <= rule.rank


def _by_rung(found: Finding) -> dict[Rung, list[float]]:
    out: dict[Rung, list[float]] = {}
    for e in found.evidence:
        if e.reached and e.q_value is not None:
            out.setdefault(e.rung, []).append(e.q_value)
    return out


@pytest.mark.parametrize("guilty", GUILTY, ids=lambda f: f.__name__)
def test_words_are_as_wide_as_the_evidence_that_remains(guilty: Any, measurements: Make) -> None:
    claims = guilty(measurements)
    assert claims
    seen: set[Rung | None] = set()
    told: dict[str, set[str]] = {"in short": set(), "in full": set()}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        said, tests = worded([*(dealt(c, rng) for c in claims), *crowd(rng)])
        findings = [r for r in said if isinstance(r, Finding)]
        for found in findings:
            held(found)
            short = f"{found.title}. {first_sentence(found.statement)} {found.remedy}"
            told["in short"].add(short)
            told["in full"] |= {short, found.statement, found.does_not_show}
            told["in full"] |= {e.statement for e in found.evidence}
        told["in full"] |= {r.statement for r in said if isinstance(r, NotFound)}
        failed = [r for r in said if not isinstance(r, Finding | NotFound)]
        assert failed == []
        seen |= {f.rung for f in findings} or {None}
        expected = sum(len({id(t) for t in tests_in(c.tested)}) for c in claims)
        assert len(tests) == expected, "every test is in the list, and once"
    assert len(seen) > 1, "the seeds must leave and take evidence"
    assert hard(told["in short"]) == {}
    assert [text for text in told["in full"] if UNWANTED.search(text)] == []


def test_a_ring_is_found_on_every_rung_and_on_none(measurements: Make) -> None:
    """The seeds reach all that can be left of the longest chain."""
    claims = artifact(measurements)
    titles, rungs = set(), set()
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        said, _ = worded([*(dealt(c, rng) for c in claims), *crowd(rng)])
        titles |= {f.title for f in said if isinstance(f, Finding)}
        rungs |= {f.rung for f in said if isinstance(f, Finding)}
    assert rungs == set(Rung)
    assert "The model decides by black rings" in titles
    assert "The model reacts to black rings" in titles
    assert any(title.startswith("The model looks at") for title in titles)
    assert any(title.startswith("Black rings go with") for title in titles)


def test_a_use_that_is_not_left_after_ten_nulls_is_in_no_word(measurements: Make) -> None:
    """Opportunity p 1e-6, dependence p .04 and ten nulls: the labels allow it, and no more."""
    (claim,) = artifact(measurements)
    opportunity = {id(t) for t in tests_in(claim.tested.data)}
    others = {
        id(t): dataclasses.replace(t, p_value=1e-6 if id(t) in opportunity else 0.04)
        for t in tests_in(claim.tested)
    }
    climb = with_tests(claim.tested, others)
    rng = np.random.default_rng(0)
    nulls = [dataclasses.replace(c, tested=Tested(1, 0, 2, 0.9)) for c in crowd(rng)][:10]
    assert len(nulls) == 10
    said, _ = worded([dataclasses.replace(claim, tested=climb), *nulls])
    (found,) = (r for r in said if isinstance(r, Finding))
    assert found.rung is Rung.OPPORTUNITY
    assert found.title == "Black rings go with malignant in these data"
    assert "uses" in found.does_not_show
