"""Do trials of edits that may end early keep what they promise, and what do they cost in power?

Answers of a model are drawn: the log-odds of 80 images, what an edit adds to them and what its
placebo adds. Each draw is tried twice, by the code that audits use: as an audit does, with two
looks, and on all 80 images at once. Where the truth is known to be no use, or a change that just
matters, the tables say how often it is claimed otherwise; elsewhere how often it is seen, on how
many images, and how often the interval holds the truth.

    python -m benchmarks.stopping --draws 500
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.detectors.rungs.dependence import Dependence, depend
from melaudit.detectors.rungs.effect import Effect
from melaudit.detectors.rungs.stopping import LOOK, carried_out
from melaudit.detectors.rungs.trials import left_alone
from melaudit.findings import Trust
from melaudit.measurements import Array, Course, Edit, Measurements, Stop, Trials
from melaudit.statistics.correction import ALPHA

PLANNED = 80
"""Images of the two classes together: the default of --edits."""
SPREAD = 0.8
"""Standard deviation of the log-odds of a class's images around 1.5 or -1.5."""
ADD, PLACEBO = Edit("add", "the artifact put in"), Edit("texture", "a texture", "add")

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What an edit and its placebo do."""

    title: str
    edit: float
    """Mean change of the log-odds."""
    placebo: float
    noise: float
    """Standard deviation of both from image to image."""

    @property
    def share(self) -> float:
        """The change of the share of decisions beyond the placebo, over all pictures."""
        return self._turned(self.edit) - max(self._turned(self.placebo), 0.0)

    def _turned(self, shift: float) -> float:
        sd = np.hypot(SPREAD, self.noise) if shift or self.noise else SPREAD
        after = np.mean([stats.norm.sf(0, at + shift, sd) for at in (-1.5, 1.5)])
        return float(after - 0.5)


def turning(share: float, noise: float) -> float:
    """Return the change of the log-odds that turns so large a share of decisions."""
    return float(optimize.brentq(lambda s: Truth("", s, 0.0, noise).share - share, 0.0, 20.0))


def truths() -> tuple[Truth, ...]:
    """Return what is tried."""
    matters = turning(0.1, 0.3)
    return (
        Truth("no use: edit and placebo do nothing", 0.0, 0.0, 0.3),
        Truth("no use: both turn 20 of 100", *(turning(0.2, 0.3),) * 2, 0.3),
        Truth("just matters: 10 of 100, placebo 0", matters, 0.0, 0.3),
        Truth("just matters: 20 of 100, placebo 10", turning(0.2, 0.3), matters, 0.3),
        Truth("absent: hardly anything moves", 0.0, 0.0, 0.05),
        Truth("absent: 1 of 100", turning(0.01, 0.3), 0.0, 0.3),
        Truth("use: 15 of 100", turning(0.15, 0.3), 0.0, 0.3),
        Truth("use: 20 of 100", turning(0.2, 0.3), 0.0, 0.3),
        Truth("use: 30 of 100", turning(0.3, 0.3), 0.0, 0.3),
    )


@dataclass(frozen=True)
class Drawn:
    """The answers to one trial."""

    before: Values
    edit: Values
    placebo: Values

    @classmethod
    def of(cls, truth: Truth, rng: np.random.Generator) -> Drawn:
        """Draw the answers on `PLANNED` images, the first look's first, the classes in turn."""
        before = np.resize([-1.5, 1.5], PLANNED) + rng.normal(0, SPREAD, PLANNED)
        edit, placebo = (
            before + shift + rng.normal(0, truth.noise, PLANNED)
            for shift in (truth.edit, truth.placebo)
        )
        return cls(before, edit, placebo)

    def effect(
        self, edited: NDArray[np.int64], placed: NDArray[np.int64], course: Course
    ) -> Effect:
        """Weigh the answers on the images that were edited, and on those with a placebo."""
        rows = np.concatenate([edited, placed])
        which = np.repeat([0, 1], [len(edited), len(placed)])
        after = np.concatenate([self.edit[edited], self.placebo[placed]])
        trials = left_alone(
            Trials(
                edits=(ADD, PLACEBO) if len(placed) else (ADD,),
                edit=which,
                rows=rows,
                dose=np.ones(len(rows)),
                before=_logits(self.before[rows]),
                after=_logits(after),
                distance=np.full(len(rows), np.nan),
                courses={"add": course},
            )
        )
        logits = _logits(self.before)
        called = logits.argmax(1)
        nothing: dict[str, Array] = {}
        table = Measurements(
            ids=tuple(map(str, range(PLANNED))),
            labels=np.resize([0, 1], PLANNED),
            predictions=called,
            targets=called,
            logits=logits,
            classes=("benign", "malignant"),
            positive=1,
            columns=nothing.__getitem__,
            layer="",
            explanations=Trust.TRUSTED,
            seed=0,
            trials={"ring": trials},
        )
        found = depend(table, "ring", DarkRing.phrases)
        assert isinstance(found, Dependence) and found.add is not None
        return found.add


def two_looks(drawn: Drawn) -> tuple[Effect, int, int]:
    """Try as an audit does: return the effect, the pictures shown, and the images edited."""
    edited: list[int] = []
    placed: list[int] = []

    def effect(course: Course) -> Effect:
        return drawn.effect(np.array(edited, int), np.array(placed, int), course)

    rows = np.arange(PLANNED)
    course = carried_out(
        rows[:LOOK],
        rows,
        lambda some: edited.extend(some.tolist()),
        lambda some: placed.extend(some.tolist()),
        effect,
    )
    return effect(course), len(edited) + len(placed), len(edited)


def all_at_once(drawn: Drawn) -> tuple[Effect, int, int]:
    """Try on all images, with one look."""
    rows = np.arange(PLANNED)
    return drawn.effect(rows, rows, Course(PLANNED)), 2 * PLANNED, PLANNED


def used(effect: Effect) -> bool:
    """Tell whether use would be claimed, were this the only test of a run."""
    both = max(effect.share.p_value, effect.margin.p_value) <= ALPHA
    return (effect.turns and both) or (effect.moves and effect.margin.p_value <= ALPHA)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stopping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--draws", type=int, default=500, help="of each truth (default 500)")
    options = parser.parse_args()
    heads = ("truth", "change", "", "use", "absence", "ended: absent", "clear", "all", "images")
    print("".join(h.ljust(38) if i == 0 else h.rjust(14) for i, h in enumerate((*heads, "covers"))))
    ways: dict[str, Callable[[Drawn], tuple[Effect, int, int]]] = {
        "two looks": two_looks,
        "all at once": all_at_once,
    }
    for number, truth in enumerate(truths()):
        for way, tried in ways.items():
            rng = np.random.default_rng([0, number])
            found = [tried(Drawn.of(truth, rng)) for _ in range(options.draws)]
            effects = [effect for effect, _, _ in found]
            stops = [effect.course.stop for effect in effects]
            covered = [e.share.low - 1e-9 <= truth.share <= e.share.high + 1e-9 for e in effects]
            cells = [
                f"{100 * truth.share:.0f} of 100",
                way,
                f"{100 * np.mean([used(e) for e in effects]):.1f} %",
                f"{100 * np.mean([e.excluded is True for e in effects]):.1f} %",
                *(f"{100 * stops.count(s) / len(stops):.0f} %" for s in _ENDS),
                f"{np.mean([shown for _, shown, _ in found]):.0f}",
                f"{100 * np.mean(covered):.1f} %",
            ]
            print(truth.title.ljust(38) + "".join(cell.rjust(14) for cell in cells), flush=True)


_ENDS = (Stop.EXCLUDED, Stop.CLEAR, Stop.ALL)


def _logits(margins: Values) -> NDArray[np.float32]:
    return np.stack([np.zeros_like(margins), margins], 1).astype(np.float32)


if __name__ == "__main__":
    main()
