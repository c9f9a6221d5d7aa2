"""The method of a run: LRP first, others where it fails, never in place of what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from melaudit.audit import runner
from melaudit.audit.method import choose_method, faithful_enough, methods
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import prepare
from melaudit.choices import EngineName
from melaudit.detectors.checks.channel_uniformity import ChannelUniformity
from melaudit.detectors.checks.class_sensitivity import ClassSensitivity
from melaudit.detectors.checks.conservation import Conservation
from melaudit.detectors.checks.faithfulness import Faithfulness
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.errors import RelevanceError
from melaudit.findings import Check, CheckStatus, Subject, Trust, Verdict
from melaudit.measurements import Array, Measurements
from melaudit.models.architectures import LoadedModel, from_module
from melaudit.relevance import Explainer
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.engines.composites import candidates


class Notes:
    """An observer that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None = None, unit: str = "images") -> None: ...

    def advance(self, images: int, computed: bool = True) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


class Taste(Detector):
    """A check that fails for methods whose description holds one of these words."""

    id, title, subject = "taste", "a made-up check", Subject.EXPLANATIONS

    def __init__(self, *disliked: str) -> None:
        self.disliked = disliked
        self.checked: list[str] = []

    def measure(self, batch: Batch) -> dict[str, Array]:
        explainer = batch.check_images.explainer
        assert isinstance(explainer, Explainer)
        self.checked += [batch.ids[row] for row in batch.check_images.rows]
        bad = float(any(word in explainer.describe() for word in self.disliked))
        return {"bad": np.where(batch.check_images.sampled, bad, np.nan)}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        bad = float(np.nanmax(measurements["taste.bad"]))
        status = CheckStatus.FAIL if bad else CheckStatus.PASS
        return [Check(self.id, status, bad, 0.0, "made up")]


@pytest.fixture
def model() -> LoadedModel:
    torch.manual_seed(0)
    return from_module(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        )
    )


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    rng = np.random.default_rng(0)
    for name, low in (("a", 150), ("b", 60)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(low, low + 60, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    return Configuration(
        Path("net"), tmp_path / "data", tmp_path / "out", image_size=24, workers=0, check_images=8
    )


Use = Callable[..., tuple[Detector, ...]]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return `use(*detectors)`, which replaces the detectors of the run and returns them."""

    def only(*chosen: Detector) -> tuple[Detector, ...]:
        monkeypatch.setattr(runner, "all_detectors", lambda *_: chosen)
        return chosen

    return only


def tried(configuration: Configuration) -> list[tuple[str, str]]:
    return [(m.engine, m.composite) for m in methods(configuration)]


def test_the_order_is_the_usual_composite_then_others_then_gradients_then_occlusion(
    configuration: Configuration,
) -> None:
    assert tried(configuration) == [
        ("auto", "epsilon_plus_flat"),
        ("auto", "epsilon_gamma_box"),
        ("auto", "epsilon_alpha2_beta1_flat"),
        ("gradient_x_input", "epsilon_plus_flat"),
        ("occlusion", "epsilon_plus_flat"),
    ]


@pytest.mark.parametrize(
    "asked", [{"engine": "zennit"}, {"canonizer": "none"}, {"composite": "epsilon_plus_flat"}]
)
def test_a_method_that_was_asked_for_is_the_only_one(
    configuration: Configuration, asked: dict[str, str]
) -> None:
    assert len(tried(replace(configuration, **asked))) == 1  # type: ignore[arg-type]


def test_a_method_that_holds_is_used_without_a_word(
    configuration: Configuration, model: LoadedModel
) -> None:
    asked, told = (Taste("nothing of the kind"),), Notes()
    prepared = prepare(configuration, model)
    chosen = choose_method(configuration, prepared, asked, told, configuration.out)
    assert chosen.configuration.composite == "epsilon_plus_flat"
    assert chosen.notes == () and not any("fail" in note for note in told.notes)
    assert chosen.checked.trust is Trust.TRUSTED and chosen.layer == "0"


@pytest.mark.parametrize(
    ("disliked", "engine"),
    [
        (["epsilon_plus_flat"], "LRP epsilon_gamma_box"),
        (["LRP"], "gradient x input"),
        (["LRP", "gradient x input ("], "occlusion"),
    ],
)
def test_a_run_goes_on_with_the_first_method_that_holds_and_says_so(
    configuration: Configuration,
    model: LoadedModel,
    use: Use,
    disliked: list[str],
    engine: str,
) -> None:
    use(Taste(*disliked), Conservation())
    told = Notes()
    findings = runner.run(configuration, told, model=model)
    assert findings.explanations.engine.startswith(engine)
    assert findings.explanations.status is not Trust.UNUSABLE
    if not engine.startswith("LRP"):
        assert findings.explanations.status is Trust.DEGRADED
    (warning,) = [w for w in findings.warnings if "The maps of this run are those of" in w]
    assert "LRP epsilon_plus_flat fails on this model (taste)" in warning
    assert any(warning in note for note in told.notes)
    html = (configuration.out / "report.html").read_text()
    assert engine in html and "fails on this model (taste)" in html


def test_what_was_asked_for_is_never_replaced(
    configuration: Configuration, model: LoadedModel, use: Use
) -> None:
    use(Taste("LRP"))
    asked = replace(configuration, engine=EngineName.DATAFLOW)
    findings = runner.run(asked, Notes(), model=model)
    assert findings.explanations.engine.startswith("LRP epsilon_plus_flat")
    assert findings.explanations.status is Trust.UNUSABLE
    assert findings.verdict is Verdict.INCONCLUSIVE


def test_where_nothing_holds_the_first_method_stays_and_the_maps_are_unusable(
    configuration: Configuration, model: LoadedModel, use: Use
) -> None:
    use(Taste("explains"))
    findings = runner.run(configuration, Notes(), model=model)
    assert findings.explanations.engine.startswith("LRP epsilon_plus_flat")
    assert findings.explanations.status is Trust.UNUSABLE
    assert any("no method of explanation holds" in w for w in findings.warnings)


def test_an_engine_that_cannot_take_the_model_is_passed_over(
    configuration: Configuration, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RelevanceError("no way through")

    monkeypatch.setattr(DataflowEngine, "run", refuse)
    checks = (Taste("nothing of the kind"),)
    prepared, told = prepare(configuration, model), Notes()
    chosen = choose_method(configuration, prepared, checks, told, configuration.out)
    assert chosen.configuration.engine == "gradient_x_input"
    assert "cannot be applied to this model: no way through" in chosen.notes[0]
    asked = replace(configuration, engine=EngineName.DATAFLOW)
    with pytest.raises(RelevanceError, match="no way through"):
        choose_method(asked, prepared, checks, told, configuration.out)


class Attends(nn.Module):
    """One block of self-attention over 3 x 3 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.block(self.patches(x).flatten(2).transpose(1, 2))
        return self.head(tokens.mean(1))  # type: ignore[no-any-return]


class OnPositions(nn.Module):
    """Linear layers on every position, and no attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 8, 8), nn.LayerNorm(8)
        self.block, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.patches(x).permute(0, 2, 3, 1)
        places = places + nn.functional.gelu(self.block(self.norm(places)))
        return self.head(places.mean((1, 2)))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "layer", "words"),
    [
        (Attends, "block", "has attention and linear layers that work on every position"),
        (OnPositions, "patches", "has linear layers that work on every position"),
    ],
)
def test_a_model_like_a_transformer_gets_the_most_faithful_composite_and_who_resumes_the_same(
    configuration: Configuration,
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[[], nn.Module],
    layer: str,
    words: str,
) -> None:
    torch.manual_seed(0)
    prepared = prepare(configuration, from_module(kind()))
    told = Notes()
    chosen = choose_method(configuration, prepared, (Taste(),), told, configuration.out)
    assert chosen.layer == layer
    composite = chosen.configuration.composite
    choice = candidates(attention=kind is Attends)
    assert composite in choice
    assert words in chosen.notes[0] and f"Of {len(choice)} composites" in chosen.notes[0]
    assert " was the most faithful on 8 images" in chosen.notes[0]
    assert told.notes == [f"note: {chosen.notes[0]}"]
    # An oracle: the check by itself, with each composite, on images that no check of the run saw.
    looked = set(np.array(prepared.dataset.ids)[chosen.known.rows])
    unseen = [i for i, each in enumerate(prepared.dataset.ids) if each not in looked]
    prepared_anew = replace(prepared, dataset=prepared.dataset.take(np.array(unseen)))
    assert len(looked) == 8 <= len(unseen)
    gains = {}
    for name in choice:
        asked = replace(configuration, composite=name)
        found = choose_method(
            asked, prepared_anew, (Faithfulness(draws=1),), Notes(), configuration.out / name
        )
        gains[name] = found.known.columns["faithfulness.advantage"]
    best = max(gains, key=lambda name: gains[name].mean())
    assert f"{best} was the most faithful" in chosen.notes[0]
    spread = {n: (gains[best] - g).std(ddof=1) / np.sqrt(8) for n, g in gains.items()}
    behind = {n: (gains[best] - g).mean() for n, g in gains.items()}
    assert behind[composite] <= 2.5 * spread[composite]  # not shown to be behind
    earlier = choice[: choice.index(composite)]
    assert all(behind[name] > 1.5 * spread[name] for name in earlier)
    told_so = f"{composite} is taken: it was not shown to be less faithful" in chosen.notes[0]
    assert told_so is (composite != best)

    def again(*_: object) -> None:
        raise AssertionError("what was measured is not measured again")

    monkeypatch.setattr(Faithfulness, "measure", again)
    resumed = choose_method(configuration, prepared, (Taste(),), Notes(), configuration.out)
    assert (resumed.configuration, resumed.notes) == (chosen.configuration, chosen.notes)


def test_the_first_composite_that_is_not_shown_to_be_less_faithful_is_taken() -> None:
    rng = np.random.default_rng(0)
    best, noise = rng.normal(2, 1, 16), rng.normal(0, 1, 16)
    noise -= noise.mean()
    unknown = np.full(16, np.nan)
    unknown[3] = 1.0
    of = {"clearly behind": best - 1, "hardly behind": best - 0.1 + noise, "best": best}
    assert faithful_enough(of, 0) == ("hardly behind", "best")
    assert faithful_enough({"behind": best - 0.1, "best": best}, 0) == ("best", "best")
    assert faithful_enough({"alone": unknown}, 0) == ("alone", "alone")


def test_the_heads_of_attention_are_audited_as_channels_where_they_are_named(
    configuration: Configuration, use: Use
) -> None:
    use(ChannelUniformity(), Conservation())
    torch.manual_seed(0)
    asked = replace(configuration, layer="block.self_attn:heads", composite="gamma_0.25")
    findings = runner.run(asked, Notes(), model=from_module(Attends()))
    (check,) = [c for c in findings.explanations.checks if c.id == "channel_uniformity"]
    assert check.status is CheckStatus.PASS and "at block.self_attn:heads" in check.statement
    assert any("the heads of attention of block.self_attn:" in w for w in findings.warnings)
    assert {c.channel for c in findings.concepts} <= {0, 1}


def test_a_composite_that_fails_on_a_model_with_attention_gives_way_to_the_usual_one(
    configuration: Configuration,
) -> None:
    torch.manual_seed(0)
    prepared = prepare(configuration, from_module(Attends()))
    chosen = choose_method(configuration, prepared, (Taste("gamma"),), Notes(), configuration.out)
    assert chosen.configuration.composite == "epsilon_plus_flat"


def test_the_pass_takes_over_what_the_checks_measured(
    configuration: Configuration, model: LoadedModel, use: Use
) -> None:
    taste = Taste("nothing of the kind")
    checks = use(taste, Faithfulness(), ClassSensitivity())
    findings = runner.run(configuration, Notes(), model=model)
    assert len(taste.checked) == 8 == len(set(taste.checked))  # each sampled image once in all
    table = pd.read_parquet(configuration.out / "images.parquet")
    assert table["taste.bad"].notna().sum() == 8
    assert set(table["id"][table["taste.bad"].notna()]) == set(taste.checked)
    prepared = prepare(configuration, model)
    elsewhere = configuration.out / "elsewhere"
    alone = choose_method(configuration, prepared, checks, Notes(), elsewhere)
    # Sums over batches of other compositions may differ in the last digit.
    for before, after in zip(alone.checked.checks, findings.explanations.checks, strict=True):
        assert (before.id, before.status) == (after.id, after.status)
        assert before.value == pytest.approx(after.value, rel=1e-5)


def test_images_that_cannot_be_read_leave_the_method_unexamined_and_the_run_alive(
    configuration: Configuration, model: LoadedModel
) -> None:
    checks = (Taste("LRP"),)
    few = replace(configuration, check_images=2, max_skipped=1.0)
    chosen = choose_method(few, prepare(few, model), checks, Notes(), few.out)
    for row in chosen.known.rows:
        (few.data / prepare(few, model).dataset.ids[row]).write_bytes(b"no image")
    unexamined = choose_method(few, prepare(few, model), checks, Notes(), few.out / "again")
    assert len(unexamined.known.rows) == 0 and unexamined.checked.trust is Trust.NOT_CHECKED
