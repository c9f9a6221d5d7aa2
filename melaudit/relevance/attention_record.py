"""The model's attention, taken from a forward pass that an engine runs anyway.

`attention` finds once where the weights are; a record takes them from there in later passes. It
hooks the model's own forward: the weights are a tensor that the model returns, or a factor of one
of its products, which are counted in the order of their computation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from melaudit.relevance.attention import Source, is_product, per_channel
from melaudit.relevance.model.outputs import tensors


@dataclass
class Record:
    """What was taken from the first forward pass of a model while it was recorded."""

    taken: Tensor | None = None

    def take(self, tensor: Tensor) -> None:
        """Keep the first tensor: an engine may run the model again on altered images."""
        if self.taken is None:
            self.taken = tensor.detach()

    def weights(self, n: int) -> Tensor | None:
        """Return the weights (n, channels); None where the pass had none of that shape.

        A model may take another path through its code for other images.
        """
        if self.taken is None or self.taken.ndim < 2:
            return None
        return per_channel(self.taken, n, self.taken.shape[1])


@contextmanager
def recording(model: nn.Module, source: Source | None) -> Iterator[Record]:
    """Record the tensor at `source` whenever the model runs; None records nothing."""
    record = Record()
    if source is None:
        yield record
        return
    products = _Products(source, record)
    # Entered when the model's own forward begins, inside of what an engine has put around it, so
    # that only the model's own operations are counted.
    before = model.register_forward_pre_hook(lambda module, inputs: products.begin())
    after = model.register_forward_hook(
        lambda module, inputs, output: products.end(output), always_call=True
    )
    try:
        yield record
    finally:
        before.remove()
        after.remove()


class _Products(TorchFunctionMode):
    """Counts products while a model runs, and takes a factor of one of them."""

    def __init__(self, source: Source, record: Record) -> None:
        super().__init__()
        self.source, self.record, self.calls = source, record, 0
        self._stack = ExitStack()

    def begin(self) -> None:
        """Begin a forward pass."""
        self.calls = 0
        self._stack.enter_context(self)

    def end(self, output: object) -> None:
        """End it, also if it failed and returned nothing."""
        self._stack.close()
        if self.source.output is not None:
            returned = list(tensors(output))
            if self.source.output < len(returned):
                self.record.take(returned[self.source.output])

    def __torch_function__(
        self,
        func: Any,
        types: object,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if is_product(func, args):
            if self.calls == self.source.product:
                self.record.take(args[self.source.factor])
            self.calls += 1
        return func(*args, **(kwargs or {}))
