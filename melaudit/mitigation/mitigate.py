"""The mitigation as one sentence: open the audit, divide the images, fit, put in, prove.

What passes each step: `opened` gives an `Audited`; `halves` divides its images; `gathered` gives
the pictures to fit on; a method of `fit` gives the new head; `proven` holds both heads against the
half that nothing has used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.edits.interventions import as_shown, put_into
from melaudit.audit.prepare.model_outputs import first_inputs
from melaudit.detectors.rungs.shown import Shown, shown
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.findings import CueChange, Finding, Measured, Method, Rung
from melaudit.mitigation import fit
from melaudit.mitigation.audited import Audited
from melaudit.mitigation.filling import Filled, Known, gathered
from melaudit.mitigation.groups import Halves, Rows, halves
from melaudit.mitigation.head import Head, find_head
from melaudit.mitigation.proof import (
    MIN_GROWTH,
    Heads,
    Images,
    cue_change,
    growth,
    measure_of,
    measured,
    of_class,
)
from melaudit.mitigation.views import Eyes, View, eyes
from melaudit.observer import Observer
from melaudit.wording.sentences import many

MIN_FIT, MIN_PROOF = 15, 15
"""Images of each class without the artifact that a fit and a proof need. Chosen: of 30 in all, a
change of about 40 of 100 decisions is clear of chance; not measured."""
MAX_NATURAL = 500
"""Images of each class that are looked at as they are, in each half. Limits the time."""
MAX_PROVEN = 100
"""Images of each class that the artifact is put into for the proof. Limits the time."""
MAX_OTHERS = 20
"""Images of each class that every other artifact is put into. Limits the time; what decisions seem
to follow more on these is put into `MAX_PROVEN` others."""


@dataclass(frozen=True)
class Cue:
    """What is to be mitigated."""

    finding: Finding
    shown: Shown
    target: int
    """The class that it pushes decisions to."""


@dataclass(frozen=True)
class Proof:
    """What was measured on images that nothing has used."""

    dependence: CueChange
    placebo: CueChange
    figures: tuple[Measured, ...]
    groups: tuple[Measured, ...]
    others: tuple[CueChange, ...]


@dataclass(frozen=True)
class Outcome:
    """A new head, and what it was made from and does."""

    cue: Cue
    before: Head
    after: Head
    filled: Filled
    halves: Halves
    proof: Proof


def able(audited: Audited) -> tuple[Cue, ...]:
    """Return the findings that can be mitigated: dependence on what can be put into pictures."""
    keys = {each.key: each for a in audited.artifacts for each in shown(a, audited.table, ())}
    return tuple(
        Cue(finding, keys[finding.id], audited.table.classes.index(finding.classes[0]))
        for finding in audited.findings.findings
        if finding.rung.rank >= Rung.DEPENDENCE.rank and finding.id in keys and finding.classes
    )


def choose(audited: Audited, wanted: str | None) -> Cue | None:
    """Return the finding to mitigate, the worst unless one is wanted; None for nothing to mitigate.

    Raises ConfigurationError for an id that the audit has not, or that no edit can test, and where
    all that the model uses was discovered.
    """
    cues = {cue.finding.id: cue for cue in able(audited)}
    if wanted is None:
        used = (
            finding.id
            for finding in audited.findings.findings
            if finding.discovered and finding.rung.rank >= Rung.DEPENDENCE.rank
        )
        wanted = next(iter(cues), None) or next(used, None)
        if wanted is None:
            return None
    if wanted in cues:
        return cues[wanted]
    every = {finding.id: finding for finding in audited.findings.findings}
    can = f"can be mitigated: {', '.join(cues)}" if cues else "nothing here can be mitigated"
    if wanted in every and every[wanted].rung.rank < Rung.DEPENDENCE.rank:
        return None
    if wanted in every and every[wanted].discovered:
        raise ConfigurationError(
            f"finding {wanted!r} was discovered in the audit's own images, and no finder knows it "
            "in others: look at it in report.html, write a finder for it (melaudit new artifact "
            f"NAME), audit again, and mitigate what that finds; {can}"
        )
    if wanted in every:
        raise ConfigurationError(
            f"finding {wanted!r} is about nothing that could be put into pictures, so no change of "
            f"the model could be proven; {can}"
        )
    raise ConfigurationError(f"the audit has no finding {wanted!r}; {can}")


def mitigated(
    audited: Audited, cue: Cue, method: Method, tolerance: float, observer: Observer
) -> Outcome:
    """Fit the last layer anew against a cue, and measure what that did.

    Raises DatasetError that says how many images are needed where there are too few, and
    CheckpointError for a model without a linear last layer.
    """
    table, prepared = audited.table, audited.prepared
    loaded = prepared.loaded
    present = cue.shown.present
    units = np.array(table.ids, np.object_) if table.groups is None else table.groups
    edits, tried = audited.configuration.edits, _tried(audited, cue)
    used = put_into(~present, _targets(audited), edits, table.seed, tried)
    parts = halves(table.labels, present, units, used, table.seed)
    _refuse_too_few(audited, cue, parts, used)
    x = first_inputs(prepared.dataset.paths, prepared.preprocessing, prepared.read)
    head = find_head(loaded.model, x.to(prepared.device), loaded.outputs, loaded.shift)
    artifact = as_shown(cue.shown, table, audited.laboratory)
    with eyes(audited.laboratory, head, observer) as look:
        observer.stage("Looking at the images to fit on")
        known = Known(
            table.labels,
            present,
            np.unique(units.astype(str), return_inverse=True)[1],
            table.classes,
            cue.shown.artifact.phrases,
            table.seed,
        )
        natural = look.natural(_at_most(parts.fit, table.labels, MAX_NATURAL, table.seed))
        filled = gathered(look, artifact, natural, known)
        observer.stage("Fitting")
        after = refit(filled, head, method, table.seed)
        placebo = refit(replace(filled, pool=filled.placebo), head, method, table.seed)
        observer.stage("Looking at the images for the proof")
        heads = Heads(head, after), Heads(head, placebo)
        proof = _proven(audited, cue, parts.proof, heads, look, tolerance)
    return Outcome(cue, head, after, filled, parts, proof)


def refit(filled: Filled, head: Head, method: Method, seed: int) -> Head:
    """Return the head with the weights that a method finds."""
    old = as_classes(head)
    pool = filled.pool
    if method is Method.LAST_LAYER:
        made = fit.refitted(pool, old, seed)
    elif method is Method.PROJECT:
        made = fit.projected(pool, old, len(old.offsets))
    else:
        made = fit.suppressed(pool, old, len(old.offsets))
    return with_classes(head, made)


def as_classes(head: Head) -> fit.Linear:
    """Return the logits of a head as those of its classes: a single logit z is (0, z)."""
    if len(head.offsets) > 1:
        return fit.Linear(head.slopes, head.offsets)
    return fit.Linear(
        np.concatenate([np.zeros_like(head.slopes), head.slopes]),
        np.concatenate([np.zeros(1), head.offsets]),
    )


def with_classes(head: Head, made: fit.Linear) -> Head:
    """Return the head with logits of its classes as given; all that decides of them is differences.

    What is common to all logits stays as it was, so that nothing else about them changes.
    """
    if len(head.offsets) == 1:
        return head.with_margins(
            made.slopes[1:] - made.slopes[:1], made.offsets[1:] - made.offsets[:1]
        )
    common = head.slopes.mean(0) - made.slopes.mean(0), head.offsets.mean() - made.offsets.mean()
    return head.with_margins(made.slopes + common[0], made.offsets + common[1])


def _tried(audited: Audited, cue: Cue) -> int:
    """Return how many images the audit put the artifact into; 0 where that is not known."""
    return next(
        (t.n for t in audited.findings.edits if (t.artifact, t.edit) == (cue.shown.key, "add")), 0
    )


def _targets(audited: Audited) -> Rows:
    table = audited.table
    return np.where(table.labels >= 0, table.labels, table.predictions)


def _at_most(rows: Rows, labels: Rows, most: int, seed: int) -> Rows:
    """Choose at most so many images of each class."""
    rng = np.random.default_rng([seed, 4])
    of = labels[rows]
    picked = [rng.permutation(rows[of == label])[:most] for label in np.unique(of)]
    out: Rows = np.sort(np.concatenate(picked)) if picked else rows
    return out


def _refuse_too_few(audited: Audited, cue: Cue, parts: Halves, used: Rows) -> None:
    """Raise DatasetError where a class has too few images to fit on, or to prove anything by."""
    table, phrases = audited.table, cue.shown.artifact.phrases
    lacking = ~cue.shown.present
    need = MIN_FIT + MIN_PROOF
    for label, name in enumerate(table.classes):
        of = lacking & (table.labels == label)
        fits, proofs = int(of[parts.fit].sum()), int(of[parts.proof].sum())
        if fits >= MIN_FIT and proofs >= MIN_PROOF:
            continue
        changed = int(of[used].sum())
        short = max(MIN_FIT - fits, 0) + max(MIN_PROOF - proofs, 0)
        said = (
            f"{many(int(of.sum()), f'{phrases.lacking} image')} of {name}, of which the audit "
            f"changed {changed}; a mitigation needs {MIN_FIT} to fit on and {MIN_PROOF} that no "
            f"step has used for the proof"
        )
        remedy = f"audit again with at least {short} more of them"
        if int(of.sum()) >= need and changed > MIN_FIT:
            remedy += f", or with --edits {MIN_FIT}"
        raise DatasetError(f"there are {said}: {remedy}")


def _proven(
    audited: Audited,
    cue: Cue,
    rows: Rows,
    heads: tuple[Heads, Heads],
    look: Eyes,
    tolerance: float,
) -> Proof:
    """Hold the heads against images that nothing has used."""
    table, present, labels = audited.table, cue.shown.present, audited.table.labels
    units = np.array(table.ids, np.object_) if table.groups is None else table.groups
    images = Images(labels, table.classes, table.positive, units, table.seed)
    both, placebo = heads
    natural = look.natural(_at_most(rows, labels, MAX_NATURAL, table.seed))
    artifact = as_shown(cue.shown, table, audited.laboratory)
    lacking, having = rows[~present[rows]], rows[present[rows]]
    put = look.put_in(artifact, _at_most(lacking, labels, MAX_PROVEN, table.seed), table.seed)
    taken = look.taken_out(artifact, _at_most(having, labels, MAX_PROVEN, table.seed))
    key, title = cue.shown.key, artifact.title
    sets = _sets(cue, images, natural, put.added, taken, present)
    others = _others(audited, cue, rows, both, look, images, natural)
    return Proof(
        dependence=cue_change(both, put, natural, cue.target, images, key=key, title=title),
        placebo=cue_change(placebo, put, natural, cue.target, images, key=key, title=title),
        figures=measured(both, sets[0], images, tolerance),
        groups=measured(both, sets[1], images, tolerance),
        others=others,
    )


def _sets(
    cue: Cue, images: Images, natural: View, put: View, taken: View, present: NDArray[np.bool_]
) -> tuple[dict[str, View], dict[str, View]]:
    """Return the sets of pictures that figures are taken of, and the groups, by name."""
    phrases = cue.shown.artifact.phrases
    lacking = natural.of(natural.rows[~present[natural.rows]])
    having = natural.of(natural.rows[present[natural.rows]])
    figures = {f"accuracy, {phrases.lacking} images": lacking}
    groups: dict[str, View] = {}
    for label, name in enumerate(images.classes):
        measure = measure_of(images, label)
        states = (
            (f"{phrases.lacking} images", lacking),
            (f"{phrases.thing} put in", put),
            (f"{phrases.having} images", having),
            (f"{phrases.thing} taken out", taken),
        )
        for state, view in states:
            figures[f"{measure}, {state}"] = of_class(view, images.labels, label)
        groups[f"{name}, {phrases.lacking}"] = of_class(lacking, images.labels, label)
        groups[f"{name}, {phrases.having}"] = of_class(having, images.labels, label)
    return figures, groups


def _others(
    audited: Audited,
    cue: Cue,
    rows: Rows,
    heads: Heads,
    look: Eyes,
    images: Images,
    natural: View,
) -> tuple[CueChange, ...]:
    """Return how far decisions follow every other artifact, the largest growth first.

    All are put into a few images. Those that decisions seem to follow more there are put into
    other images, and only what these show is told: the first ones were used to choose.
    """
    table, seed = audited.table, audited.table.seed

    def seen(each: Shown, at: Rows, targets: Sequence[int], compared: int = 1) -> list[CueChange]:
        artifact = as_shown(each, table, audited.laboratory)
        put = look.put_in(artifact, at, seed)
        if not len(put.added):
            return []
        named = partial(cue_change, key=each.key, title=artifact.title, compared=compared)
        return [named(heads, put, natural, target, images) for target in targets]

    every = range(len(table.classes))
    first: dict[str, CueChange] = {}
    further: list[tuple[Shown, Rows, int]] = []
    for artifact in audited.artifacts:
        for each in shown(artifact, table, ()):
            free = natural.rows[~each.present[natural.rows]]
            at = _at_most(free, images.labels, MAX_OTHERS, seed)
            found = seen(each, at, every) if each.key != cue.shown.key and len(at) else []
            if not found:
                continue
            target = max(every, key=lambda k: max(found[k].flips.before, found[k].flips.after))
            first[each.key] = replace(found[target], grew=False)
            more = max(every, key=lambda k: growth(found[k].flips))
            left = _at_most(np.setdiff1d(free, at), images.labels, MAX_PROVEN, seed)
            if growth(found[more].flips) >= MIN_GROWTH and len(left):
                further.append((each, left, more))
    for each, left, more in further:
        for again in seen(each, left, [more], len(further)):
            first[each.key] = again
    return tuple(sorted(first.values(), key=lambda o: (-o.grew, -o.flips.change)))
