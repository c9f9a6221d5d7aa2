"""The channels of one image: which are worth a look, and the tiles that show their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from melaudit.errors import ConfigurationError
from melaudit.relevance import Explainer
from melaudit.relevance.attention import choose_channels
from melaudit.relevance.model.layers import HEADS, has_heads
from melaudit.relevance.places import Side, disk
from melaudit.reports.page.panel import Tile
from melaudit.wording.sentences import percent


@dataclass(frozen=True)
class Place:
    """A place of the image: one side of a centred disk."""

    side: Side
    radius: float
    """As a share of half the image's shorter side."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a disk that does not fit an image."""
        if not 0 < self.radius < 2:
            raise ConfigurationError(
                f"the disk's radius is {self.radius}; expected a share of half the image's shorter "
                "side, above 0 and below 2, such as 0.78"
            )


@dataclass(frozen=True)
class View:
    """One image, seen through the channels of one layer."""

    explainer: Explainer
    x: Tensor
    """(1, C, H, W)."""
    target: Tensor
    """(1,) the class explained."""
    layer: str
    start: float
    """The explained logit."""

    def strongest(self, relevance: Tensor, attention: Tensor | None, count: int) -> list[Tile]:
        """Show the channels with most relevance (channels,), times attention (channels,) if any."""
        chosen = choose_channels(relevance, attention, count)
        said = []
        for channel in chosen:
            attended = "" if attention is None else f", attention {float(attention[channel]):.2g}"
            said.append(f"{self._share(relevance[channel])} of the logit{attended}")
        return self._tiles(chosen, said)

    def looking(self, place: Place, count: int, notes: list[str]) -> list[Tile]:
        """Show the channels with most relevance in a place, and say in `notes` how much it is."""
        mask = disk(self.x.shape[2], self.x.shape[3], place.radius)
        found = self.explainer.places(self.x, self.target, self.layer, mask)
        there, shares = found.at(place.side)[0], found.share(place.side)[0]
        chosen: list[int] = found.strongest(place.side, count)[0].tolist()
        said = [
            f"{self._share(there[c])} of the logit {place.side}, "
            f"{percent(float(shares[c]))} of its own"
            for c in chosen
        ]
        notes.append(
            f"channels of {self.layer} by their relevance {place.side} a disk of radius "
            f"{place.radius:g} (of half the shorter side), where all {len(there)} together hold "
            f"{self._share(there.nansum())} of the logit:"
        )
        notes += [f"  channel {c}: {note}" for c, note in zip(chosen, said, strict=True)]
        return self._tiles(chosen, said)

    def _tiles(self, channels: Sequence[int], said: Sequence[str]) -> list[Tile]:
        maps = self.explainer.crp(self.x, self.target, self.layer, channels)[0]
        name, one = self.layer, "channel"
        if has_heads(name):
            name, one = name.removesuffix(HEADS), "head"
        return [
            Tile(f"{one} {c} of {name}", note, values.detach().float().cpu().numpy())
            for c, note, values in zip(channels, said, maps, strict=True)
        ]

    def _share(self, relevance: Tensor) -> str:
        share = float(relevance) / self.start if self.start else torch.nan
        return percent(float(share))
