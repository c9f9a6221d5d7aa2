"""Taps on layers: where a layer's relevance is read, and where conditional maps start."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from melaudit.errors import RelevanceError
from melaudit.relevance.dataflow.axes import Axis
from melaudit.relevance.dataflow.marks import Mark
from melaudit.relevance.model.tokens import is_tokens


@dataclass
class Tap:
    """The output of a layer as it was when the layer returned it."""

    layer: str
    edge: GradientEdge
    """Its place in autograd's graph."""
    value: Tensor
    """A copy of its values."""
    mark: Mark
    images: int
    """Number of images in the batch."""

    @classmethod
    def on(cls, layer: str, tensor: Tensor, mark: Mark, images: int) -> Tap:
        """Tap a tensor; what is written into it later does not reach the tap."""
        return cls(layer, get_gradient_edge(tensor), tensor.detach().clone(), mark, images)

    @property
    def _merged(self) -> bool:
        """Whether the first dimension is (images * something), as windows of tokens are."""
        first = self.value.shape[:1]
        whole = self.mark.images == Axis(1, self.images) and first != (self.images,)
        return whole and self.mark.images is not None and self.mark.images.fits(first)

    @cached_property
    def channel_dim(self) -> int:
        """The dimension that the last layer with weights made to count channels.

        Where that is lost, the second one; of (N, tokens, channels) the last one. Raises
        RelevanceError where the images are not counted by the first dimension either.
        """
        shape, axis = self.value.shape, self.mark.channels
        dim = _dimension(axis, shape)
        if dim is not None and dim != self.image_dim:
            return dim
        if len(shape) < 2 or self.image_dim != 0:
            raise RelevanceError(
                f"layer {self.layer} gives {tuple(shape)}, in which its channels cannot be told; "
                "name another layer, such as one that gives (N, C, h, w)"
            )
        return len(shape) - 1 if is_tokens(shape) else 1

    @cached_property
    def image_dim(self) -> int:
        """The dimension that counts images; RelevanceError where there is none."""
        shape = self.value.shape
        alone = bool(shape) and (shape[0] == self.images or self._merged)
        dim = 0 if alone else _dimension(self.mark.images, shape)
        if dim is None:
            raise RelevanceError(
                f"layer {self.layer} gives {tuple(shape)}, in which the {self.images} images "
                "cannot be told apart; name another layer"
            )
        return dim

    @property
    def channels(self) -> int:
        """How many channels the layer has."""
        return self.value.shape[self.channel_dim]

    def along_channels(self, values: Tensor) -> Tensor:
        """Reshape values (channels,) or (N, channels) so that they broadcast over the output."""
        shape = [1] * self.value.ndim
        shape[self.channel_dim] = self.channels
        if values.ndim == 1:
            return values.reshape(shape)
        shape[self.image_dim] = self.images
        in_order = values if self.image_dim < self.channel_dim else values.T
        return in_order.reshape(shape)

    def by_image(self, relevance: Tensor) -> Tensor:
        """Return the layer's relevance as (N, rest)."""
        return relevance.movedim(self.image_dim, 0).reshape(self.images, -1)

    def by_channel(self, relevance: Tensor) -> Tensor:
        """Return the layer's relevance summed over all but images and channels: (N, channels)."""
        last = relevance.movedim((self.image_dim, self.channel_dim), (0, -1))
        return last.reshape(self.images, -1, self.channels).sum(1)


def _dimension(axis: Axis | None, shape: tuple[int, ...]) -> int | None:
    """Return the dimension that is this axis and nothing else, None if there is none."""
    place = None if axis is None else axis.locate(shape)
    return place[0] if place and axis and shape[place[0]] == axis.size else None
