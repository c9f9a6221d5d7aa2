"""White corners: what some cameras write into the lower right corner.

Looks for: white in the lower right corner of the picture, and whether it goes with the class that
matters.
Why: what stands in the picture and goes with the class can be learned instead of the object.
How it is scored: the odds ratio of white corners and the class, with its exact interval.
What to do: crop the corner before training.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from melaudit.detectors.claim import Claim, evidence_of, finding
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.findings import Evidence, Finding, NotFound, Rung, Skipped
from melaudit.measurements import Array, Measurements
from melaudit.statistics.correction import clear
from melaudit.statistics.estimates import Tested, odds_ratio

MIN_IMAGES = 10
"""Images that are needed with a white corner, and as many without."""
CORNER = 6
"""The corner is one sixth of the picture wide and high."""
WHITE = 230
"""Level of the darkest channel above which a pixel is white."""
MIN_SHARE = 0.2
"""Share of the corner above which it counts as white."""
MIN_ODDS = 2.0
"""Odds ratio above which the data allow a shortcut."""


class StampDetector(Detector):
    """White corners that go with the class that matters."""

    id = "stamp"
    title = "White in the lower right corner"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return how much of each image's corner is white, (N,)."""
        views = batch.images.views
        corners = [v[-(v.shape[0] // CORNER) :, -(v.shape[1] // CORNER) :] for v in views]
        return {"white": np.array([(corner.min(2) > WHITE).mean() for corner in corners])}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Test whether white corners go with the class."""
        known = measurements.labels >= 0
        white = measurements[f"{self.id}.white"][known] > MIN_SHARE
        if min(white.sum(), (~white).sum()) < MIN_IMAGES or measurements.positive is None:
            needed = f"it needs {MIN_IMAGES} images with a white corner and as many without"
            return [Skipped(self.id, f"{needed}, and a class that matters")]
        matters = measurements.labels[known] == measurements.positive
        table = [
            [(white & matters).sum(), (white & ~matters).sum()],
            [(~white & matters).sum(), (~white & ~matters).sum()],
        ]
        images = tuple(np.array(measurements.ids)[known][white])
        name = measurements.classes[measurements.positive]

        def evidence(tested: Tested) -> Sequence[Evidence]:
            return [
                evidence_of(
                    Rung.OPPORTUNITY,
                    "odds ratio",
                    tested,
                    len(white),
                    "white corners and labels are independent",
                    f"{table[0][0]} of {white.sum()} images with a white corner are {name}.",
                    reached=clear(tested) and tested.value > MIN_ODDS,
                )
            ]

        def word(tested: Tested, shown: tuple[Evidence, ...]) -> Sequence[Finding | NotFound]:
            if not shown[0].reached:
                said = "White corners do not go with the labels."
                return [NotFound(self.id, len(white), None, "", said, tested.p_value)]
            return [
                finding(
                    shown,
                    measurements.explanations,
                    id=self.id,
                    detector=self.id,
                    title=f"White corners go with {name}",
                    statement=shown[0].statement,
                    images=images,
                    remedy="Crop the corner before training.",
                    does_not_show="Whether the model looks at the corner or uses it.",
                )
            ]

        return [Claim(self.id, odds_ratio(table), evidence, word)]
