r"""The forward pass under observation: every torch operation gets a backward pass of relevance.

A model is run as it is under this mode, which sees each operation on something that depends on the
input, whether a module, a function or an operator calls it. The result has the values that the
model computed, and a backward pass that carries relevance per activation, c = R / a:

* An operation that is homogeneous of degree one, f(t x) = t f(x) for t > 0, keeps its gradient:
  by Euler's theorem  sum(x * df/dx) = f(x),  so c_x = (df/dx)^T c_y conserves relevance. These are
  ReLU, max and mean pooling, sums and residuals, reshapes, slices and concatenations.
* A product of two signals is of degree two, so each factor gets half of the gradient. A factor
  that is a gate is held constant, and the other one gets all: c_x = g c_y.
* A function of single values passes all relevance on, R_x = R_y: c_x = c_y y / x.
* Linear layers follow the rules of the composite (see `rules`), normalisations their own.
* A constant that is added absorbs its share, which is recorded in the ledger.

Any other operation is reported by name. Its gradient is used, and what that loses or invents is
recorded in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from melaudit.relevance.dataflow import rearrangements
from melaudit.relevance.dataflow.axes import Axis
from melaudit.relevance.dataflow.calls import (
    Call,
    OperationTable,
    asks_inplace,
    canonical,
    replaced,
    tensors,
)
from melaudit.relevance.dataflow.ledger import Ledger
from melaudit.relevance.dataflow.linear_maps import Kernel, Kernels, LinearMap
from melaudit.relevance.dataflow.marks import (
    Gate,
    Mark,
    Rearrangement,
    is_nonnegative,
    mark_of,
    note_nonnegative,
    put_mark,
)
from melaudit.relevance.dataflow.rulebook import Rulebook
from melaudit.relevance.dataflow.steps import ElementwiseStep, LinearStep, Step
from melaudit.relevance.dataflow.taps import Tap

WITHOUT_RULE = "NO RULE: plain gradient, named in the result"
"""The description of an operation that is not in the table."""


class Flow(TorchFunctionMode):
    """One forward pass over N images, as a mode under which the model is run.

    `names`: address of the storage of a parameter that is no module's weight or bias -> its name,
    such as that of a positional embedding. What is added of it has a line of its own in the ledger.
    """

    def __init__(
        self,
        operations: OperationTable,
        rulebook: Rulebook,
        kernels: Kernels,
        x: Tensor,
        names: Mapping[int, str] | None = None,
    ) -> None:
        super().__init__()
        self.operations, self.rulebook, self.kernels = operations, rulebook, kernels
        self.leaf = x.detach().requires_grad_()
        """The input as a leaf of the graph; the model gets a copy that it may write into."""
        self.ledger = Ledger(len(x), x)
        self.operation_counts: Counter[tuple[str, str]] = Counter()
        """(operation, description of what becomes of relevance there) -> calls."""
        self.unknown: dict[str, None] = {}
        """Names of operations without a rule, in the order of their first calls."""
        self.modules: list[tuple[str, nn.Module]] = []
        """The modules that are running, by name; the innermost last."""
        self.taps: dict[str, Tap] = {}
        """Layer -> the tap on its output."""
        self.attends = False
        """Whether attention was met: a softmax of products of two signals that weighs a third."""
        self.heads: dict[str, list[int]] = {}
        """Heads of attention, named as a layer -> how many, for each time they are met."""
        self.tapped: Sequence[str] = ()
        """Layers that taps are wanted of."""
        self.works_on_positions = False
        """Whether a linear layer was met that works on each of several positions by itself.

        A convolution of single positions is one where it takes what a LayerNorm or the like gives,
        as in transformers. Others have rules that suit them.
        """
        self.products = False
        """Whether two signals that are equal as gates were multiplied as matrices."""
        self._names = {} if names is None else names
        self._open: dict[int, WeakSet[Step]] = {}

    def input(self) -> Tensor:
        """Return the tensor to run the model on."""
        x = self.leaf.clone()
        put_mark(x, Mark(Axis.at(x.shape, 0), Axis.at(x.shape, 1), pixels=True))
        return x

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Make a call of the model by the rule of its operation."""
        kwargs = kwargs or {}
        name, inplace = canonical(func)
        if not name or name in self.operations.passive:
            return func(*args, **kwargs)
        call = Call(func, name, args, kwargs)
        call.signals = [t for t in tensors((args, kwargs)) if self.is_signal(t)]
        if not call.signals or not torch.is_grad_enabled():
            return self._constant(call)
        call.inplace = inplace or asks_inplace(func, args, kwargs)
        target = args[0] if call.inplace and isinstance(args[0], Tensor) else None
        if target is not None:
            self.before_writing(target)
        operation = self.operations.rules.get(name, self.operations.unknown)
        if name not in self.operations.by_composite:
            self.operation_counts[name, self._description(name)] += 1
        nonnegative = name in rearrangements.RECTIFIERS or (
            name in rearrangements.SIGN_KEEPERS
            and all(is_nonnegative(t) for t in tensors((args, kwargs)))
        )
        result = self._written(operation(self, call, *args, **kwargs), target)
        if nonnegative and isinstance(result, Tensor):
            note_nonnegative(result)
        return result

    def _written(self, result: Any, target: Tensor | None) -> Any:
        """Return the result of an operation; for one in place, the `target` it is written into."""
        if target is not None and isinstance(result, Tensor) and result is not target:
            self.before_writing(target)
            mark = replace(self.mark(result), step=None) if result.requires_grad else None
            target.copy_(result)
            if mark is not None:
                put_mark(target, mark)
            return target
        return result

    def _description(self, name: str) -> str:
        """Return what becomes of relevance at an operation, in words."""
        if name in self.operations.attention:
            return self.rulebook.attention.words
        return self.operations.descriptions.get(name, WITHOUT_RULE)

    def is_signal(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the input in a way that gradients can follow."""
        if not tensor.requires_grad or tensor.is_leaf:
            return False
        return mark_of(tensor) is not None or self._leads_to_input(tensor)

    def mark(self, signal: Tensor) -> Mark:
        """Return a signal's mark; one without a mark came from an operation that was not seen."""
        mark = mark_of(signal)
        if mark is None:
            node = type(signal.grad_fn).__name__
            self.report(f"{node.removesuffix('Backward')} (hidden from torch functions)")
            self.ledger.complete = False  # what it loses or invents is not known
            size = len(self.ledger.zeros)
            images = Axis(1, size) if signal.ndim and signal.shape[0] % size == 0 else None
            mark = Mark(images, None)
            put_mark(signal, mark)
        return mark

    @property
    def layer(self) -> str:
        """The name of the innermost running module; "" for the model itself."""
        return self.modules[-1][0] if self.modules else ""

    def report(self, operation: str) -> None:
        """Report an operation without a rule by name, with the layer that called it."""
        self.unknown[f"{operation} in {self.layer}" if self.layer else operation] = None

    def follow(self, call: Call, result: Any, gate: Gate | None = None) -> Any:
        """Mark the results of an operation; their axes follow from how it moves dimensions.

        Without a `gate` the results are as weak a gate as the weakest signal.
        """
        made = [t for t in tensors(result) if t.requires_grad]
        if made:
            marks = [self.mark(s) for s in call.signals]
            weakest = Gate(min(m.gate for m in marks)) if gate is None else gate
            source = max(call.signals, key=lambda t: t.ndim)
            mark = self.mark(source)
            across = all(m.across for m in marks)
            arranged = call.name in rearrangements.ARRANGEMENTS
            pixels = arranged and all(m.pixels for m in marks)
            normalised = arranged and all(m.normalised for m in marks)
            for tensor in made:
                moves = rearrangements.moves(call, source.shape, tensor.shape)
                images, channels = (
                    axis
                    if axis is None or moves is None
                    else axis.carried(source.shape, tensor.shape, moves)
                    for axis in (mark.images, mark.channels)
                )
                if images is not None and images.size != len(self.leaf):
                    images = None  # images were divided, or joined with others
                new = Mark(images, channels, weakest, across, normalised, pixels)
                if mark.step is not None and call.name in rearrangements.REARRANGEMENTS:
                    here = Rearrangement(source.shape, tensor.shape, moves)
                    so_far = (*mark.rearrangements, here)
                    new = replace(new, step=mark.step, rearrangements=so_far)
                put_mark(tensor, new)
        return result

    def connect(self, step: Step, signal: Tensor, y: Tensor, mark: Mark) -> Tensor:
        """Return y as the marked output of a step.

        The step is prepared before its input or output is overwritten.
        """
        for tensor in (step.x, step.y):
            self._open.setdefault(tensor.untyped_storage().data_ptr(), WeakSet()).add(step)
        connected = step.connect(signal, y, self.ledger.account(self.layer))
        put_mark(connected, mark)
        return connected

    def before_writing(self, target: Tensor) -> None:
        """Prepare every step that still needs the values of a tensor."""
        for step in self._open.pop(target.untyped_storage().data_ptr(), ()):
            step.prepare()

    def elementwise(
        self,
        call: Call,
        signal: Tensor,
        factor: Callable[[Tensor], Tensor] | None = None,
        gate: Gate = Gate.SIGNAL,
    ) -> Tensor:
        """Make a call of a function of single values, which passes relevance on unchanged.

        `factor`: where the function is x times a factor of x, that factor (see `ElementwiseStep`).
        """
        mark = self.mark(signal)
        after = replace(mark, gate=gate, normalised=False, step=None, rearrangements=())
        if call.inplace and factor is not None and not mark.pixels:
            step = ElementwiseStep(signal, None, self.ledger, mark, factor)
            step.prepare()
            written = step.overwrite(signal, call.run, self.ledger.account(self.layer))
            put_mark(written, after)
            return written
        y = call.without_grad()
        step = ElementwiseStep(signal, y, self.ledger, mark, factor)
        return self.connect(step, signal, y, after)

    def linear(
        self, linear: LinearMap, kind: type[nn.Module], signal: Tensor, kernel: Kernel, y: Tensor
    ) -> Tensor:
        """Return y as the output of a linear layer under its rule.

        `kind`: the module of such layers, nn.Conv2d or another.
        """
        mark = self.mark(signal)
        module = self.modules[-1][1] if self.modules else None
        across = mark.across
        if signal.numel() > len(self.leaf) * kernel.shape[1]:  # there are several positions
            if kind is nn.Linear:
                across |= mark.channels not in (None, Axis.at(signal.shape, -1))
                self.works_on_positions |= not across
            elif kernel.shape[1:].numel() == signal.shape[1]:  # a convolution of single positions
                self.works_on_positions |= mark.normalised
        rule = self.rulebook.rule(module, kind, mark.pixels)
        self.operation_counts[kind.__name__, f"rule {rule}"] += 1
        moves = range(signal.ndim)
        images = mark.images and mark.images.carried(signal.shape, y.shape, moves)
        step = LinearStep(linear, kernel, rule, signal, mark, y, self.ledger, images)
        channels = Axis.at(y.shape, linear.channel_dim)
        # Attention weights that are mixed again, for instance across heads, are still weights.
        gate = Gate.WEAK if mark.gate == Gate.STRONG else Gate.SIGNAL
        return self.connect(step, signal, y, Mark(images, channels, gate, across, step=step))

    def fold(self, step: LinearStep, kernel: Kernel, mark: Mark, y: Tensor) -> Tensor:
        """Return y as the output of a linear layer into which a BatchNorm after it is folded.

        Rearrangements between the two are moved behind the fold. A tap on the layer moves to the
        folded output, whose relevance is then the layer's.
        """
        for rearrangement in reversed(mark.rearrangements):
            y = rearrangement.undone(y)
        folded = LinearStep(
            step.linear, kernel, step.rule, step.signal, step.mark, y, self.ledger, step.images
        )
        channels = Axis.at(y.shape, step.linear.channel_dim)
        here = Mark(step.images, channels, step=folded)
        y = self.connect(folded, step.signal, y, here)
        for name, tap in self.taps.items():
            if tap.mark.step is step:
                self.tap(name, y)
        with self:
            for rearrangement in mark.rearrangements:
                y = rearrangement.redone(y)
        return y

    def tap(self, name: str, tensor: Tensor) -> None:
        """Tap a tensor as the output of a layer."""
        self.taps[name] = Tap.on(name, tensor, self.mark(tensor), len(self.leaf))

    def constant(self, value: Tensor, shape: Sequence[int], images: Axis | None) -> Tensor:
        """Return a constant, expanded to a shape, whose relevance the ledger records."""
        line = self._names.get(value.untyped_storage().data_ptr(), self.layer)
        value = value.detach()
        # What is masked is minus infinity. Nothing arrives there, but zero times that is no number.
        finite = torch.where(value.isinf(), torch.zeros_like(value), value)
        return self.ledger.record(value.expand(shape), line, images, value=finite.expand(shape))

    def recorded_gradient(self, call: Call) -> Any:
        """Make a call by its gradient; the ledger records what that loses or invents."""

        def enter(tensor: Tensor) -> Tensor:
            if not any(tensor is s for s in call.signals):
                return tensor.detach() if tensor.requires_grad else tensor
            images = self.mark(tensor).images
            tensor = tensor.clone() if call.inplace else tensor
            return self.ledger.record(tensor, self.layer, images, -1.0)

        def leave(tensor: Tensor) -> Tensor:
            if not tensor.requires_grad:
                return tensor
            mark = self.mark(tensor)
            # A copy, since autograd refuses in-place operations on a view that a Function made.
            recorded = self.ledger.record(tensor, self.layer, mark.images).clone()
            put_mark(recorded, mark)
            return recorded

        args, kwargs = replaced(call.args, enter), replaced(call.kwargs, enter)
        return replaced(self.follow(call, call.anew(*args, **kwargs)), leave)

    def plain_gradient(self, call: Call) -> Any:
        """Make a call of an operation whose gradient is its rule."""

        def constant(tensor: Tensor) -> Tensor:
            parameter = tensor.requires_grad and not self.is_signal(tensor)
            return tensor.detach() if parameter else tensor

        if any(t.requires_grad and t.is_leaf for t in tensors((call.args, call.kwargs))):
            call.args, call.kwargs = replaced(call.args, constant), replaced(call.kwargs, constant)
        return self.follow(call, call.run())

    def _leads_to_input(self, tensor: Tensor) -> bool:
        """Whether autograd's graph connects a tensor to the input."""
        visited, to_visit = set(), [tensor.grad_fn]
        while to_visit:
            node = to_visit.pop()
            if node is None or node in visited:
                continue
            if getattr(node, "variable", None) is self.leaf:
                return True
            visited.add(node)
            to_visit.extend(following for following, _ in node.next_functions)
        return False

    def _constant(self, call: Call) -> Any:
        """Make a call that no relevance passes, so that its result is no signal either."""
        if any(t.requires_grad for t in tensors((call.args, call.kwargs))):
            with torch.no_grad():
                return call.run()
        return call.run()
