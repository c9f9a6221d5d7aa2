"""Enrichment: what is planted is found, with q-values over everything that was tested."""

import numpy as np
from scipy import stats

from melaudit.audit.groups.enrichment import enriched, traits
from melaudit.statistics.correction import false_discovery, q_value


def test_a_planted_excess_is_found_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    inside, outside = np.arange(60), np.arange(60, 200)
    ruler = rng.random(200) < np.where(np.arange(200) < 60, 0.8, 0.1)
    having = {"ruler": ruler, **{f"noise {i}": rng.random(200) < 0.3 for i in range(8)}}
    (found,) = enriched([(inside, outside)], having)
    assert [e.name for e in found if e.more] == ["ruler"]
    assert found[0].inside == ruler[inside].mean() and found[0].outside == ruler[outside].mean()
    halves = [(h[inside].sum(), h[outside].sum()) for h in having.values()]
    p_values = [stats.fisher_exact(np.array([[a, 60 - a], [b, 140 - b]])).pvalue for a, b in halves]
    expected = dict(zip(having, false_discovery(p_values), strict=True))
    assert all(np.isclose(q_value(e.odds), expected[e.name]) for e in found)


def test_a_group_that_is_everything_is_compared_with_nothing() -> None:
    assert enriched([(np.arange(5), np.arange(0))], {"x": np.ones(5, bool)}) == [[]]


def test_metadata_become_traits_unless_they_name_single_images_or_say_nothing() -> None:
    found = traits(
        {"hair": np.array([True] * 40)},
        {
            "site": ["arm"] * 20 + ["leg"] * 17 + [None] * 3,
            "patient": [str(i) for i in range(40)],
            "device": ["x"] * 40,
            "age": [float(i) for i in range(39)] + [float("nan")],
        },
    )
    assert set(found) == {"hair", "site = arm", "site = leg", "age > 19"}
    assert found["site = leg"].sum() == 17 and found["age > 19"].sum() == 19
