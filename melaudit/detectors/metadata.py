"""Metadata: is the model worse on some patients or sources, and do its concepts encode them?

Looks for: groups by site, sex, age, source, instrument or skin type (columns of the data table) on
which sensitivity, specificity or accuracy differ; columns that go with the label; and concepts of
the model that encode a column among images of one label.
Why: an average hides a group on which a model fails. A column that goes with the label, as the
clinic often does, can be learned instead of the disease.
How scored: each group against all others, by the difference of rates with a score interval (images
of a patient count as one) and Fisher's exact test (or a permutation of patients). The label, by its
odds ratio. The concepts, by the area under the ROC curve of a linear probe on their relevance,
cross-validated by patient, against shuffled groups. Groups of fewer than 20 labelled images are not
ranked.
Do instead: collect more images of the group; balance classes over it; report results by group.
Reference: Daneshjou et al. 2022, "Disparities in dermatology AI performance on a diverse, curated
clinical image set"; DeGrave et al. 2021, "AI for radiographic COVID-19 detection selects shortcuts
over signal", on data sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.claim import Claim, evidence_of, finding, reached
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.encoding import Encoding, encode
from melaudit.detectors.measures.subgroups import MIN_IMAGES, Gap, Grouping, gaps, grouping
from melaudit.detectors.rungs.opportunity import Association, associate
from melaudit.findings import Evidence, Finding, Mitigation, NotFound, Rung, Skipped, Table
from melaudit.measurements import Array, Measurements, SomeRows
from melaudit.statistics.correction import bonferroni, clear
from melaudit.statistics.estimates import proportion
from melaudit.wording.figures import correlation
from melaudit.wording.sentences import interval, many, percent, ratio

PATIENT = ("site", "sex", "age")
"""Columns that a disease may go with by nature."""
COLUMNS = (
    *PATIENT,
    *("source", "instrument", "device", "camera", "scanner", "dermatoscope", "dermoscopictype"),
    *("imagetype", "acquisition", "skintype", "skintone", "fitzpatrick", "fitzpatrickskintype"),
)
"""Names of the columns that are looked at, without case and punctuation."""

MIN_GAP = 0.1
"""Difference of rates from which a gap is reported. Chosen, not measured."""
MIN_AUC = 0.65
"""Area under the ROC curve from which the concepts are said to encode a column. Chosen, not
measured."""

RowMask = NDArray[np.bool_]


class Metadata(Detector):
    """Columns of the data table: gaps between their groups, and the model's knowledge of them."""

    id = "metadata"
    title = "Patients, sites and sources"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Measure nothing: the data table says it all."""
        return {}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Look at one column after the other."""
        columns = looked_at(measurements.metadata)
        if not columns:
            reason = "the data have no column of site, sex, age, source or instrument"
            return [Skipped(self.id, reason)]
        if not (measurements.labels >= 0).any():
            return [Skipped(self.id, "no image has a label")]
        return [_concluded(self.id, measurements, column) for column in columns]


@dataclass(frozen=True)
class Profile:
    """What a column's groups show."""

    groups: Grouping
    gaps: tuple[Gap, ...]
    data: tuple[int, Association] | None
    """The group that goes with the label the most; p counts the groups tried."""
    encoding: tuple[int, Encoding] | None
    """The group that was looked for in the concepts."""

    @property
    def wide(self) -> tuple[Gap, ...]:
        """Gaps that are large and clear of chance, the widest first."""
        wide = [
            gap
            for gap in self.gaps
            if abs(gap.difference.value) >= MIN_GAP
            and (gap.difference.low > 0 or gap.difference.high < 0)
            and clear(gap.difference)
        ]
        return tuple(sorted(wide, key=lambda gap: -abs(gap.difference.value)))

    @property
    def encoded(self) -> bool:
        """Whether the concepts tell the group clearly."""
        if self.encoding is None:
            return False
        area = self.encoding[1].auc
        return area.value >= MIN_AUC and area.low > 0.5 and clear(area)

    @property
    def associated(self) -> bool:
        """Whether a group goes with a label."""
        return self.data is not None and self.data[1].reached


def looked_at(columns: Iterable[str]) -> list[str]:
    """Return the columns that tell patients, sites or sources apart, in their order."""
    return [column for column in columns if _plain(column) in COLUMNS]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _concluded(identity: str, measurements: Measurements, column: str) -> Result:
    name = f"{identity}.{column}"
    known = measurements.labels >= 0
    groups = grouping(column, measurements.metadata[column], known)
    if len(groups.names) < 2:
        found = "only one group" if groups.names else "no group"
        return Skipped(name, f"{found} of {MIN_IMAGES} labelled images; a comparison needs two")
    return Claim(
        name,
        _profile(measurements, groups),
        evidence=lambda profile: _chain(profile, measurements.classes),
        word=partial(_word, name, measurements),
    )


def _word(
    name: str, measurements: Measurements, profile: Profile, evidence: tuple[Evidence, ...]
) -> Sequence[Finding | NotFound]:
    """Claim what differs between the groups of a column, or say that nothing does."""
    if not reached(evidence):
        return [_missed(name, measurements, profile)]
    return [_finding(name, measurements, profile, evidence)]


def _profile(measurements: Measurements, groups: Grouping) -> Profile:
    labels, classes = measurements.labels, measurements.classes
    known, right = labels >= 0, measurements.predictions == labels
    measures = [("accuracy", known)]
    if measurements.positive is not None:
        sick = labels == measurements.positive
        measures = [("sensitivity", known & sick), ("specificity", known & ~sick)]
        if len(classes) > 2:  # calling one other class by another's name is no false alarm
            positive = measurements.predictions == measurements.positive
            right = positive == sick
    found = gaps(groups, right, measures, measurements.groups, measurements.seed)
    rows = groups.member >= -1
    best: tuple[int, Association] | None = None
    for group in range(len(groups.names)):
        data = associate((groups.member == group)[rows], labels[rows], classes)
        if data is None:
            continue
        # Of two groups that tell the same, the smaller one is the more telling.
        if best is None or data.odds.p_value <= best[1].odds.p_value * 1.000001:
            best = group, data
    if best is not None:
        tried = len(groups.names) if len(groups.names) > 2 else 1
        best = best[0], replace(best[1], odds=bonferroni(best[1].odds, tried))
    encoding = None
    # Concepts of a model that does not follow the labels are no reasons for anything.
    if measurements.explanations.usable and measurements.above_chance:
        group = best[0] if best is not None and best[1].strong else 0
        patients = measurements.groups
        probe = encode(
            SomeRows(measurements["relevance.concepts"], np.flatnonzero(rows)),
            (groups.member == group)[rows],
            labels[rows],
            None if patients is None else patients[rows],
            measurements.seed,
        )
        encoding = None if probe is None else (group, probe)
    found = [replace(g, difference=bonferroni(g.difference, len(found))) for g in found]
    return Profile(groups, tuple(found), best, encoding)


def _chain(profile: Profile, classes: tuple[str, ...]) -> tuple[Evidence, ...]:
    column, names = profile.groups.column, profile.groups.names
    chain = [_gap_evidence(gap, column, names, gap in profile.wide) for gap in profile.gaps]
    if profile.data is not None:
        group, data = profile.data
        counted = data.counted(classes, f"{column} {names[group]!r}").replace(" show ", " have ")
        chain.append(
            evidence_of(
                Rung.OPPORTUNITY,
                f"odds ratio of the label, {column} {names[group]!r}",
                data.odds,
                data.counts[1] + data.counts[3],
                "the label is as frequent in this group as in the others",
                f"{counted} (odds ratio {ratio(data.odds.value)}, {interval(data.odds, ratio)}).",
                reached=data.reached,
            )
        )
    if profile.encoding is not None:
        group, probe = profile.encoding
        area = probe.auc
        chain.append(
            evidence_of(
                Rung.ATTENTION,
                f"area under the curve of {column} {names[group]!r} from the concepts",
                area,
                probe.n,
                "the same probe on shuffled groups",
                "Among images of one label, a linear probe on the model's concepts tells "
                f"{column} {names[group]!r} from the rest with an area under the curve of "
                f"{correlation(area.value)} (95 % interval {correlation(area.low)} to "
                f"{correlation(area.high)}; .5 is "
                "chance).",
                # Every model knows a little of where and whose a lesion is; alone it is no claim.
                reached=profile.encoded and bool(profile.wide or profile.associated),
            )
        )
    return tuple(chain)


def _gap_evidence(gap: Gap, column: str, names: tuple[str, ...], reached: bool) -> Evidence:
    return evidence_of(
        Rung.OPPORTUNITY,
        f"{gap.measure}, {column} {names[gap.group]!r} minus the rest",
        gap.difference,
        gap.n_own + gap.n_rest,
        f"{gap.measure} is the same in all groups",
        f"{_counted(gap, column, names)} ({interval(gap.difference, percent)} for the difference).",
        reached=reached,
    )


def _counted(gap: Gap, column: str, names: tuple[str, ...]) -> str:
    return (
        f"{gap.measure.capitalize()} is {percent(gap.own.value)} where {column} is "
        f"{names[gap.group]!r} (n = {gap.n_own:,}) and {percent(gap.rest.value)} elsewhere "
        f"(n = {gap.n_rest:,})"
    )


def _finding(
    name: str, measurements: Measurements, profile: Profile, chain: tuple[Evidence, ...]
) -> Finding:
    classes, column, names = measurements.classes, profile.groups.column, profile.groups.names
    said = [_counted(gap, column, names) for gap in profile.wide[:2]]
    title = f"The model does not do equally well by {column}"
    mitigation = None
    labels: tuple[str, ...] = ()
    rows = np.zeros(len(measurements.labels), np.bool_)
    if profile.wide:
        worst = profile.wide[0]
        lower = worst.difference.value < 0
        weak = profile.groups.member == worst.group
        rows = (weak if lower else (profile.groups.member >= -1) & ~weak) & (
            measurements.predictions != measurements.labels
        )
    if profile.associated and profile.data is not None:
        group, data = profile.data
        labels = (classes[data.target],)
        shows = f"{column} {names[group]!r}"
        counted = data.counted(classes, shows).replace(" show ", " have ")
        said.append(f"{counted} (odds ratio {ratio(data.odds.value)})")
        if not profile.wide:
            title = f"{column.capitalize()} goes with {classes[data.target]} in these data"
            if column in PATIENT and not profile.encoded:
                mitigation = Mitigation.NATURAL
            rows = (profile.groups.member == group) & (measurements.labels == data.target)
    if profile.encoded and profile.encoding is not None:
        group, probe = profile.encoding
        said.append(
            f"the model's concepts tell {column} {names[group]!r} among images of one label "
            f"(area under the curve {correlation(probe.auc.value)})"
        )
    return finding(
        chain,
        measurements.explanations,
        id=name,
        detector="metadata",
        title=title,
        mitigation=mitigation,
        classes=labels,
        statement=f"{'; '.join(said)}.",
        images=tuple(measurements.ids[i] for i in np.flatnonzero(rows)),
        remedy=f"Collect more images of the groups of {column} that fare worse, balance the "
        "classes over its groups while training, and report results by group.",
        does_not_show=_does_not_show(column),
        tables=(_table(measurements, profile),),
    )


def _does_not_show(column: str) -> str:
    nature = ""
    if column in PATIENT:
        nature = " A disease may go with it by nature, and then it is no shortcut to know it."
    return (
        f"That the model decides by {column}: groups may differ in how hard their cases are, how "
        f"images were taken and how they were labelled.{nature} No image was changed."
    )


def _table(measurements: Measurements, profile: Profile) -> Table:
    """Return n and rates of every group, those that are too small pooled."""
    labels, predictions = measurements.labels, measurements.predictions
    right, member = labels == predictions, profile.groups.member
    positive = measurements.positive
    heads: tuple[str, ...] = (profile.groups.column, "images", "accuracy", "from", "to")
    if positive is not None:
        heads += ("n positive", "sensitivity", "n others", "specificity")

    def row(name: str, of: RowMask) -> tuple[str | int | float, ...]:
        n = int(of.sum())
        rate = proportion(int((right & of).sum()), n)
        cells: tuple[str | int | float, ...] = (
            name,
            n,
            *(round(v, 3) for v in (rate.value, rate.low, rate.high)),
        )
        if positive is None:
            return cells
        sick, healthy = of & (labels == positive), of & (labels != positive)
        called = predictions == positive
        return (
            *cells,
            int(sick.sum()),
            _rate(called & sick, sick),
            int(healthy.sum()),
            _rate(~called & healthy, healthy),
        )

    rows = [row(name, member == i) for i, name in enumerate(profile.groups.names)]
    if profile.groups.too_few:
        n = profile.groups.too_few
        few = f"groups of fewer than {MIN_IMAGES} (too few to rank)"
        rows.append((few, n, *("too few",) * (len(heads) - 2)))
    return Table(f"Results by {profile.groups.column}", heads, tuple(rows))


def _rate(hits: RowMask, of: RowMask) -> str | float:
    n = int(of.sum())
    return round(int(hits.sum()) / n, 3) if n >= MIN_IMAGES else "too few"


def _missed(name: str, measurements: Measurements, profile: Profile) -> NotFound:
    column, tested = profile.groups.column, profile.gaps
    n = int((profile.groups.member >= -1).sum())
    widest = max((gap.difference for gap in tested), key=lambda d: abs(d.value), default=None)
    least = None
    seen = "; too few images to compare how well the groups are told"
    if widest is not None:
        least = max(MIN_GAP, *((g.difference.high - g.difference.low) / 2 for g in tested))
        seen = f"; a gap of {percent(least)} would have been seen"
    few = profile.groups.too_few
    rest = f"; {many(few, 'image')} in groups too few to rank" if few else ""
    p_values = [gap.difference.p_value for gap in tested]
    if profile.data is not None:
        p_values.append(profile.data[1].odds.p_value)
    return NotFound(
        artifact=name,
        n=n,
        minimum_detectable_effect=least,
        effect="difference of rates between groups",
        statement=f"The model does about equally well on {len(profile.groups.names)} groups of "
        f"{column} ({many(n, 'image')}), and none goes with a class{seen}{rest}.",
        p_value=min(1.0, min(p_values) * len(p_values)) if p_values else None,
    )
