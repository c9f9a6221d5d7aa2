"""Clusters: groups of images that the model decides in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Cluster, Findings, Suppression
from melaudit.reports.interface import Record
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.cluster_tables import ClusterTables, cluster_tables
from melaudit.reports.page.sections.concepts import anchor
from melaudit.reports.page.sections.pictures import DetailView, part_views
from melaudit.reports.page.sections.tiles import Tiles, plate_id, tiles
from melaudit.wording import terms
from melaudit.wording.detectors import title_of

MAX_CARDS = 4
MAX_ROWS = 40
MAX_EXAMPLES = 6
MAX_CHANNELS = 8
MAX_BARS = 5
"""Labels and artifacts that a card lists."""
MIN_SUSPICION = 0.25
"""Cards of clusters less suspicious than this are folded away, except the first. Chosen: a round
figure, not measured."""


@dataclass(frozen=True)
class Bar:
    """A named share, drawn as a bar and written out."""

    label: str
    share: str
    """Length, 0 to 100."""
    value: str
    note: str


@dataclass(frozen=True)
class ClusterRow:
    """A cluster in the table of all."""

    id: str
    link: str
    predicted: str
    n: str
    suspicion: str
    error_rate: str
    border: str


@dataclass(frozen=True)
class ClusterCard:
    """A cluster as shown."""

    anchor: str
    id: str
    predicted: str
    n: str
    suspicion: str
    suspicion_bar: str
    components: tuple[Bar, ...]
    """What the suspicion is the sum of."""
    why: tuple[str, ...]
    mix: tuple[Bar, ...]
    errors: str
    border: str
    outside: str
    """Relevance outside the central half of the picture; empty where it was not measured."""
    seen: str
    """What its members have in common: "its channels, its maps"."""
    steady: str
    """How well it comes again in samples; empty where that was not measured."""
    artifacts: tuple[Bar, ...]
    channels: tuple[tuple[str, str | None], ...]
    """(marking channel in words, anchor of its own card or None)."""
    carried: str
    """How much of its decisions is lost without these channels; empty where it was not tried."""
    mean_map: str | None
    mean_alt: str
    examples: Tiles
    shows: tuple[DetailView, ...]
    """Cut out of its pictures: what they show and pictures of other classes do not."""


@dataclass(frozen=True)
class ClusterSection:
    """The most suspicious clusters as cards, all of them as a table."""

    cards: tuple[ClusterCard, ...]
    ordinary: tuple[ClusterCard, ...]
    """Cards that are folded away."""
    ordinary_title: str
    components: tuple[tuple[str, str], ...]
    """What suspicion is the sum of: (component, meaning)."""
    rows: tuple[ClusterRow, ...]
    note: str
    none: str
    """Why no group was found; empty when one was."""
    tables: ClusterTables
    there: bool
    """Whether there is anything to show."""


def clusters(record: Record, plates: Plates, *, maps: bool) -> ClusterSection:
    """Return the clusters in the order the audit gave them."""
    every = record.findings.clusters
    left = len(every) - MAX_ROWS
    cards = tuple(_card(k, every, record, plates, maps) for k in range(len(every[:MAX_CARDS])))
    shown = sum(k == 0 or c.suspicion >= MIN_SUSPICION for k, c in enumerate(every[:MAX_CARDS]))
    components = dict.fromkeys(component for c in every for component in c.parts)
    tables = cluster_tables(record.findings)
    return ClusterSection(
        cards=cards[:shown],
        ordinary=cards[shown:],
        ordinary_title=f"{wording.many_unbroken(len(cards) - shown, 'cluster')} of ordinary looks",
        components=tuple(
            (wording.capitalised(wording.human(c)), terms.COMPONENTS[c])
            for c in components
            if c in terms.COMPONENTS
        ),
        rows=tuple(_row(k, c) for k, c in enumerate(every[:MAX_ROWS])),
        note=f"{wording.many_unbroken(left, 'more cluster')} in findings.json." if left > 0 else "",
        none="" if every else _none(record.findings),
        tables=tables,
        there=bool(every or tables.any),
    )


def _none(findings: Findings) -> str:
    """Say that there are no groups, and why where the audit gave a reason."""
    reasons = [s.reason for s in findings.skipped if s.detector == "clusters"]
    return f"No group was found{': ' + '; '.join(reasons) if reasons else ''}."


def _row(k: int, cluster: Cluster) -> ClusterRow:
    return ClusterRow(
        id=wording.name(cluster.id, 32),
        link=f"cluster-{k + 1}" if k < MAX_CARDS else "",
        predicted=wording.name(cluster.predicted, 32),
        n=wording.count(cluster.n),
        suspicion=f"{cluster.suspicion:.2f}",
        error_rate=wording.rounded_percent(cluster.error_rate),
        border=wording.rounded_percent(cluster.border_share),
    )


def _card(
    k: int, every: Sequence[Cluster], record: Record, plates: Plates, maps: bool
) -> ClusterCard:
    cluster = every[k]
    others = [c for c in every if c is not cluster]
    mean = record.mean_maps.get(cluster.id) if maps else None
    plate = plates.map(mean, f"mean:{cluster.id}") if mean is not None else None
    predicted = wording.name(cluster.predicted, 32)
    border = wording.rounded_percent(cluster.border_share)
    return ClusterCard(
        anchor=f"cluster-{k + 1}",
        id=wording.name(cluster.id, 32),
        predicted=predicted,
        n=wording.many_unbroken(cluster.n, "image"),
        suspicion=f"{cluster.suspicion:.2f}",
        suspicion_bar=_length(cluster.suspicion),
        components=_components(cluster),
        why=tuple(wording.unbroken(line) for line in cluster.why),
        mix=_mix(cluster.class_mix),
        errors=_errors(cluster, others),
        border=_against(border, _weighted([(c.n, c.border_share) for c in others])),
        outside=_outside(cluster, others),
        seen=", ".join(terms.VIEWS.get(view, view) for view in cluster.views),
        steady=_steady(cluster),
        artifacts=_artifacts(cluster, others, record.findings),
        channels=_channels(cluster, record if maps else None),
        carried=_carried(cluster.suppression),
        mean_map=plate_id(plate),
        mean_alt=f"Mean relevance map of the cluster; {border} of the relevance lies in the border"
        if plate
        else "",
        examples=tiles(plates, cluster.images, MAX_EXAMPLES, maps=maps, total=cluster.n),
        shows=part_views(cluster.id, record, plates),
    )


def _components(cluster: Cluster) -> tuple[Bar, ...]:
    """Return what the suspicion is the sum of, largest first; what adds nothing is left out."""
    added = [(name, value) for name, value in cluster.parts.items() if f"{value:.2f}" != "0.00"]
    return tuple(
        Bar(wording.capitalised(wording.human(name)), _length(value), f"{value:.2f}", "")
        for name, value in sorted(added, key=lambda component: -component[1])
    )


def _mix(class_mix: Mapping[str, int]) -> tuple[Bar, ...]:
    total = sum(class_mix.values()) or 1
    largest_first = sorted(class_mix.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Bar(
            wording.name(label, 32),
            _length(n / total),
            wording.count(n),
            wording.rounded_percent(n / total),
        )
        for label, n in largest_first[:MAX_BARS]
    )


def _artifacts(cluster: Cluster, others: Sequence[Cluster], findings: Findings) -> tuple[Bar, ...]:
    """Return the artifacts of a cluster; first those that other clusters show least."""
    rows = []
    for name, share in cluster.artifacts.items():
        if not share:
            continue
        elsewhere = _weighted([(c.n, c.artifacts.get(name, 0.0)) for c in others])
        excess = share - (elsewhere or 0.0)
        note = "" if elsewhere is None else f"{wording.rounded_percent(elsewhere)} elsewhere"
        bar = Bar(title_of(findings, name), _length(share), wording.rounded_percent(share), note)
        rows.append((-excess, name, bar))
    return tuple(bar for _, _, bar in sorted(rows, key=lambda row: row[:2])[:MAX_BARS])


def _errors(cluster: Cluster, others: Sequence[Cluster]) -> str:
    if cluster.error_rate is None:
        return "unknown: no labels"
    rates = [(c.n, c.error_rate) for c in others if c.error_rate is not None]
    return _against(wording.rounded_percent(cluster.error_rate), _weighted(rates))


def _outside(cluster: Cluster, others: Sequence[Cluster]) -> str:
    if cluster.outside_share is None:
        return ""
    shares = [(c.n, c.outside_share) for c in others if c.outside_share is not None]
    return _against(wording.rounded_percent(cluster.outside_share), _weighted(shares))


def _steady(cluster: Cluster) -> str:
    if cluster.stability is None:
        return ""
    chance = cluster.stability_by_chance or 0.0
    return f"{cluster.stability:.2f} of 1, by chance {chance:.2f} at most"


def _channels(cluster: Cluster, record: Record | None) -> tuple[tuple[str, str | None], ...]:
    """Return the marking channels, with how far each stands out where that is known."""
    known = len(cluster.effects) == len(cluster.channels)
    return tuple(
        (
            f"{channel} (+{cluster.effects[k]:.1f} sd)" if known else str(channel),
            None if record is None else anchor(channel, cluster.predicted, record),
        )
        for k, channel in enumerate(cluster.channels[:MAX_CHANNELS])
    )


def _carried(tried: Suppression | None) -> str:
    """Say how much of the decisions is lost without the marking channels.

    Beside it stands the loss without as many other channels (the placebo), and on other images.
    """
    if tried is None:
        return ""
    return (
        f"{wording.rounded_percent(tried.lost)} without {wording.count(tried.channels)} marking "
        f"channels, {wording.rounded_percent(tried.lost_placebo)} without as many others; "
        f"elsewhere {wording.rounded_percent(tried.lost_others)}"
    )


def _against(here: str, elsewhere: float | None) -> str:
    return here if elsewhere is None else f"{here}, elsewhere {wording.rounded_percent(elsewhere)}"


def _weighted(sizes_and_values: Sequence[tuple[int, float]]) -> float | None:
    """Return the mean of known values, weighted by cluster size; None when none is known."""
    known = [(n, v) for n, v in sizes_and_values if wording.is_known(v)]
    total = sum(n for n, _ in known)
    return sum(n * v for n, v in known) / total if total else None


def _length(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share if wording.is_known(share) else 0.0)):.1f}"
