"""Attention: does the model look at an artifact more than at the same place without it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Phrases
from melaudit.detectors.claim import evidence_of
from melaudit.detectors.measures.regions import OTHERS, SHOWN, Excess, Stratum, excess
from melaudit.findings import Evidence, NotFound, Rung, Table
from melaudit.measurements import Measurements
from melaudit.statistics.correction import clear
from melaudit.statistics.power import minimum_detectable_difference
from melaudit.wording.sentences import capitalised, interval, percent, ratio

MIN_WITH_ARTIFACT = 5
"""Images of a predicted class with the artifact that a comparison needs. Chosen, not measured."""
MIN_OTHERS = 10
"""Images of the class without the artifact that a comparison needs. Chosen, not measured."""
MIN_RATIO = 1.25
"""Relevance on the artifact over that in the same place of other images, from which the model
looks at it. Chosen, not measured."""
MIN_AREA = 0.001
"""Share of the model's input that an artifact must cover: below it, one cell of the stored maps
(1 of 1024) decides."""


@dataclass(frozen=True)
class Attention:
    """The relevance on an artifact against that in the same place without it."""

    excess: Excess
    targets: tuple[int, ...]
    """The predicted classes compared."""
    numbers: tuple[tuple[int, int], ...]
    """Images with and without the artifact, for each class."""
    nets: tuple[float, ...]
    """Positive minus negative relevance on it, as a share of all relevance: mean of each class."""
    classes: tuple[str, ...]
    """Names of all classes."""
    phrases: Phrases

    @property
    def reached(self) -> bool:
        """Whether the model looks at it clearly more than at the same place without it."""
        return looks(self.excess)

    def counted(self) -> str:
        """Return the comparison in a clause."""
        return (
            f"on images that show {self.phrases.shows}, {percent(self.excess.own)} of the "
            f"relevance lies on the {self.phrases.thing}; on {self.phrases.lacking} images of the "
            f"same predicted class, {percent(self.excess.elsewhere)} lies in the same place"
        )

    def evidence(self) -> tuple[Evidence, ...]:
        """Return the excess as a difference of shares and as a ratio."""
        result = self.excess
        n = result.n_own + result.n_others
        phrases = self.phrases
        null = f"{phrases.lacking} images of the same predicted class, in the same place"
        busiest = sorted(range(len(self.targets)), key=lambda i: -self.numbers[i][0])[:2]
        signs = ", ".join(
            f"{'for' if self.nets[i] >= 0 else 'against'} {self.classes[self.targets[i]]} where "
            f"that is predicted (by {percent(abs(self.nets[i]))} of all relevance)"
            for i in busiest
        )
        return (
            evidence_of(
                Rung.ATTENTION,
                f"relevance excess on the {phrases.thing}",
                result.difference,
                n,
                null,
                f"{capitalised(self.counted())} ({result.n_own:,} {phrases.having}, "
                f"{result.n_others:,} {phrases.lacking}): a difference of "
                f"{percent(result.difference.value)} of all relevance, "
                f"{interval(result.difference, percent)}.",
                reached=self.reached,
            ),
            # This evidence makes no claim: the test is that of the difference, on the same images.
            evidence_of(
                Rung.ATTENTION,
                f"relevance on the {phrases.thing} over that in the same place",
                result.ratio,
                n,
                null,
                f"Area for area, the {phrases.thing} holds {ratio(result.ratio.value)} times "
                f"the relevance ({interval(result.ratio, ratio)}). On balance it speaks {signs}.",
            ),
        )

    def table(self) -> Table:
        """Return the comparison class by class."""
        return Table(
            f"Relevance on the {self.phrases.thing} by predicted class",
            (
                "predicted",
                self.phrases.having,
                self.phrases.lacking,
                f"share on the {self.phrases.thing}",
                "share in the same place",
                "for minus against",
            ),
            tuple(
                (self.classes[k], r, f, round(own, 4), round(elsewhere, 4), round(net, 4))
                for k, (r, f), (own, elsewhere), net in zip(
                    self.targets, self.numbers, self.excess.per_stratum, self.nets, strict=True
                )
            ),
        )

    def missed(self, artifact: str) -> NotFound:
        """Say that the model looks no more there, and which excess would have been detected."""
        result = self.excess
        least = minimum_detectable_difference(result.spread, result.n_own, result.n_others)
        seen = "" if least is None else f"; {percent(least)} of all relevance would have been seen"
        return NotFound(
            artifact=artifact,
            n=result.n_own + result.n_others,
            minimum_detectable_effect=least,
            effect=f"relevance excess on the {self.phrases.thing}",
            statement=f"{capitalised(self.counted())}: no clear excess{seen}.",
            p_value=result.difference.p_value,
        )


def looks(found: Excess) -> bool:
    """Tell whether an excess is large enough, and clear of chance after correction."""
    return (
        found.difference.low > 0
        and found.ratio.value >= MIN_RATIO
        and found.ratio.low > 1
        and clear(found.difference)
    )


def attend(
    measurements: Measurements, artifact: str, phrases: Phrases, alone: NDArray[np.bool_]
) -> Attention | str:
    """Compare relevance on the artifact with its null, or say why that cannot be done.

    alone: (n,) images that show it and nothing that explains it; only their relevance counts. Reads
    the columns `present`, `mask` (GRID, GRID in 255ths), `share`, `signed` and `area` of the
    artifact's detector. An artifact that preprocessing cropped away counts neither way.
    """
    if not measurements.explanations.usable:
        return f"the maps are {measurements.explanations}"
    if not measurements.above_chance:
        return "the predictions do not follow the labels, so it tells nothing where the model looks"
    present = measurements[f"{artifact}.present"].astype(bool)
    masks, signed = measurements[f"{artifact}.mask"], measurements[f"{artifact}.signed"]
    usable = np.isfinite(measurements[f"{artifact}.share"])
    inside = measurements[f"{artifact}.area"] >= MIN_AREA
    if present.any() and not (present & inside).any():
        return f"preprocessing crops the {phrases.thing} away in every image"
    rng = np.random.default_rng(measurements.seed)

    def some(rows: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
        chosen = np.flatnonzero(rows)
        return chosen if len(chosen) <= most else np.sort(rng.choice(chosen, most, replace=False))

    strata, targets, numbers, nets = [], [], [], []
    for target in range(len(measurements.classes)):
        of = (measurements.targets == target) & usable
        own, others = some(of & alone & inside, SHOWN), some(of & ~present, OTHERS)
        if len(own) >= MIN_WITH_ARTIFACT and len(others) >= MIN_OTHERS:
            mask = masks[own].reshape(len(own), -1) / 255.0
            maps = measurements.absolute_shares
            strata.append(Stratum(mask, maps(own), maps(others)))
            targets.append(target)
            numbers.append((len(own), len(others)))
            nets.append(float(signed[own].mean(dtype=np.float64)))
    if not strata:
        return (
            f"no predicted class has {MIN_WITH_ARTIFACT} {phrases.having} and {MIN_OTHERS} "
            f"{phrases.lacking} images to compare"
            + ("" if alone.sum() == present.sum() else ", without those that show what explains it")
        )
    return Attention(
        excess(strata, measurements.seed),
        tuple(targets),
        tuple(numbers),
        tuple(nets),
        measurements.classes,
        phrases,
    )
