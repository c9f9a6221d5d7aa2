r"""The forward pass, watched: every torch operation is seen and made to carry relevance.

A model is run as it stands under this mode. Each operation it performs on something that depends
on the input comes by here, whether a module, a function or an operator asked for it. What comes
out has the values the model gave it and a backward pass that carries relevance per activation,
c = R / a:

* An operation that is homogeneous of degree one, f(t x) = t f(x) for t > 0, keeps its gradient:
  by Euler's theorem  sum(x * df/dx) = f(x),  so c_x = (df/dx)^T c_y conserves relevance. These are
  ReLU, max and mean pooling, sums and residuals, reshapes, slices and concatenations.
* A product of two signals is of degree two, and each factor gets half of the gradient. A factor
  that is a gate is held constant, and the other gets all: c_x = g c_y.
* A function of single values hands down what it gets, R_x = R_y: c_x = c_y y / x.
* Linear layers have the rules of the composite (see `rules`), normalisations their own.
* A constant that is added keeps its share, which the books show.

An operation that is none of these is named: its gradient is used, and what that loses or invents
stands in the books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from melaudit.relevance.dataflow import rearrangements
from melaudit.relevance.dataflow.axes import Axis
from melaudit.relevance.dataflow.books import Books
from melaudit.relevance.dataflow.calls import (
    Call,
    OperationTable,
    asks_inplace,
    canonical,
    replaced,
    tensors,
)
from melaudit.relevance.dataflow.linear_maps import Kernel, Kernels, LinearMap
from melaudit.relevance.dataflow.marks import (
    Gate,
    Leg,
    Mark,
    is_nonnegative,
    mark_of,
    note_nonnegative,
    put_mark,
)
from melaudit.relevance.dataflow.rulebook import Rulebook
from melaudit.relevance.dataflow.steps import ElementwiseStep, LinearStep, Step
from melaudit.relevance.dataflow.taps import Tap

WITHOUT_RULE = "NO RULE: plain gradient, named in the result"
"""What holds for an operation that no table has."""


class Flow(TorchFunctionMode):
    """One forward pass over N images."""

    def __init__(
        self, operations: OperationTable, rulebook: Rulebook, kernels: Kernels, x: Tensor
    ) -> None:
        super().__init__()
        self.operations, self.rulebook, self.kernels = operations, rulebook, kernels
        self.leaf = x.detach().requires_grad_()
        """The input as a leaf of the graph; the model gets a copy, which it may write into."""
        self.books = Books(len(x), x)
        self.met: Counter[tuple[str, str]] = Counter()
        """(operation, what holds for it) -> calls."""
        self.unknown: dict[str, None] = {}
        """Names of operations without a rule, in the order met."""
        self.modules: list[tuple[str, nn.Module]] = []
        """The modules being run, the innermost last."""
        self.taps: dict[str, Tap] = {}
        self._open: dict[int, WeakSet[Step]] = {}

    def input(self) -> Tensor:
        """Return what the model is to be run on."""
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
        """Make the call the model asks for, by the rule of its operation."""
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
            self.met[name, self.operations.descriptions.get(name, WITHOUT_RULE)] += 1
        nonnegative = name in rearrangements.RECTIFIERS or (
            name in rearrangements.SIGN_KEEPERS
            and all(is_nonnegative(t) for t in tensors((args, kwargs)))
        )
        result = self._written(operation(self, call, *args, **kwargs), target)
        if nonnegative and isinstance(result, Tensor):
            note_nonnegative(result)
        return result

    def _written(self, result: Any, target: Tensor | None) -> Any:
        """Return what an operation made, written into `target` if it was asked to."""
        if target is not None and isinstance(result, Tensor) and result is not target:
            self.before_writing(target)
            mark = replace(self.mark(result), step=None) if result.requires_grad else None
            target.copy_(result)
            if mark is not None:
                put_mark(target, mark)
            return target
        return result

    def is_signal(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the input in a way that gradients follow."""
        if not tensor.requires_grad or tensor.is_leaf:
            return False
        return mark_of(tensor) is not None or self._leads_to_input(tensor)

    def mark(self, signal: Tensor) -> Mark:
        """Return a signal's mark; what has none came from an operation that nobody can see."""
        mark = mark_of(signal)
        if mark is None:
            node = type(signal.grad_fn).__name__
            self.report(f"{node.removesuffix('Backward')} (hidden from torch functions)")
            self.books.kept = False  # what it loses or invents cannot be told
            size = len(self.books.nothing)
            images = Axis(1, size) if signal.ndim and signal.shape[0] % size == 0 else None
            mark = Mark(images, None)
            put_mark(signal, mark)
        return mark

    @property
    def layer(self) -> str:
        """The name of the module being run; what lies outside of any is the model's own."""
        return self.modules[-1][0] if self.modules else ""

    def report(self, operation: str) -> None:
        """Name an operation that has no rule, and the layer it was met in."""
        self.unknown[f"{operation} in {self.layer}" if self.layer else operation] = None

    def follow(self, call: Call, result: Any, gate: Gate | None = None) -> Any:
        """Mark what an operation made: its axes from how the operation moves them."""
        made = [t for t in tensors(result) if t.requires_grad]
        if made:
            marks = [self.mark(s) for s in call.signals]
            weakest = Gate(min(m.gate for m in marks)) if gate is None else gate
            source = max(call.signals, key=lambda t: t.ndim)
            mark = self.mark(source)
            pixels = call.name in rearrangements.ARRANGEMENTS and all(m.pixels for m in marks)
            for tensor in made:
                moves = rearrangements.moves(call, source.shape, tensor.shape)
                images, channels = (
                    axis
                    if axis is None or moves is None
                    else axis.carried(source.shape, tensor.shape, moves)
                    for axis in (mark.images, mark.channels)
                )
                if images is not None and images.size != len(self.leaf):
                    images = None  # images were cut up, or put together with others
                new = Mark(images, channels, weakest, pixels)
                if mark.step is not None and call.name in rearrangements.REARRANGEMENTS:
                    leg = Leg(source.shape, tensor.shape, moves)
                    new = replace(new, step=mark.step, route=(*mark.route, leg))
                put_mark(tensor, new)
        return result

    def connect(self, step: Step, signal: Tensor, y: Tensor, mark: Mark) -> Tensor:
        """Return y as a step's output, marked; the step settles before x or y is overwritten."""
        for tensor in (step.x, step.y):
            self._open.setdefault(tensor.untyped_storage().data_ptr(), WeakSet()).add(step)
        connected = step.connect(signal, y, self.books.page(self.layer))
        put_mark(connected, mark)
        return connected

    def before_writing(self, target: Tensor) -> None:
        """Let every step that still needs a tensor's values take what it needs."""
        for step in self._open.pop(target.untyped_storage().data_ptr(), ()):
            step.settle()

    def elementwise(
        self,
        call: Call,
        signal: Tensor,
        factor: Callable[[Tensor], Tensor] | None = None,
        gate: Gate = Gate.SIGNAL,
    ) -> Tensor:
        """Make a call on single values, through which relevance passes unchanged."""
        mark = self.mark(signal)
        after = replace(mark, gate=gate, step=None, route=())
        if call.inplace and factor is not None and not mark.pixels:
            step = ElementwiseStep(signal, None, self.books, mark, factor)
            step.settle()
            written = step.overwrite(signal, call.run, self.books.page(self.layer))
            put_mark(written, after)
            return written
        y = call.without_grad()
        step = ElementwiseStep(signal, y, self.books, mark, factor)
        return self.connect(step, signal, y, after)

    def linear(
        self, linear: LinearMap, kind: type[nn.Module], signal: Tensor, kernel: Kernel, y: Tensor
    ) -> Tensor:
        """Return y as the output of a linear layer of the `kind` of nn.Conv2d, under its rule."""
        mark = self.mark(signal)
        module = self.modules[-1][1] if self.modules else None
        rule = self.rulebook.rule(module, kind, mark.pixels)
        self.met[kind.__name__, f"rule {rule}"] += 1
        moves = range(signal.ndim)
        images = mark.images and mark.images.carried(signal.shape, y.shape, moves)
        step = LinearStep(linear, kernel, rule, signal, mark, y, self.books, images)
        channels = Axis.at(y.shape, linear.channel_dim)
        # Attention weights that are mixed again, across heads for instance, are still weights.
        gate = Gate.WEAK if mark.gate == Gate.STRONG else Gate.SIGNAL
        return self.connect(step, signal, y, Mark(images, channels, gate, step=step))

    def fold(self, step: LinearStep, kernel: Kernel, mark: Mark, y: Tensor) -> Tensor:
        """Return y as the output of a linear layer with what follows it folded in.

        Rearrangements that stood between the two come after. A tap on the layer moves with the
        fold: the layer's relevance is that of the folded output.
        """
        for leg in reversed(mark.route):
            y = leg.back(y)
        folded = LinearStep(
            step.linear, kernel, step.rule, step.signal, step.mark, y, self.books, step.images
        )
        channels = Axis.at(y.shape, step.linear.channel_dim)
        here = Mark(step.images, channels, step=folded)
        y = self.connect(folded, step.signal, y, here)
        for name, tap in self.taps.items():
            if tap.mark.step is step:
                self.tap(name, y)
        with self:
            for leg in mark.route:
                y = leg.forth(y)
        return y

    def tap(self, name: str, tensor: Tensor) -> None:
        """Tap the output of a layer."""
        self.taps[name] = Tap.on(name, tensor, self.mark(tensor), len(self.leaf))

    def constant(self, value: Tensor, shape: Sequence[int], images: Axis | None) -> Tensor:
        """Return a constant, expanded to a shape, whose relevance the books keep."""
        return self.books.meter(value.detach().expand(shape), self.layer, images)

    def metered(self, call: Call) -> Any:
        """Make a call by its gradient; the books show what that loses or invents."""

        def enter(tensor: Tensor) -> Tensor:
            if not any(tensor is s for s in call.signals):
                return tensor.detach() if tensor.requires_grad else tensor
            images = self.mark(tensor).images
            tensor = tensor.clone() if call.inplace else tensor
            return self.books.meter(tensor, self.layer, images, -1.0)

        def leave(tensor: Tensor) -> Tensor:
            if not tensor.requires_grad:
                return tensor
            mark = self.mark(tensor)
            # A copy, for autograd refuses in-place operations on a view made by a Function.
            metered = self.books.meter(tensor, self.layer, mark.images).clone()
            put_mark(metered, mark)
            return metered

        args, kwargs = replaced(call.args, enter), replaced(call.kwargs, enter)
        return replaced(self.follow(call, call.anew(*args, **kwargs)), leave)

    def native(self, call: Call) -> Any:
        """Make a call whose gradient is its rule."""

        def constant(tensor: Tensor) -> Tensor:
            foreign = tensor.requires_grad and not self.is_signal(tensor)
            return tensor.detach() if foreign else tensor

        if any(t.requires_grad and t.is_leaf for t in tensors((call.args, call.kwargs))):
            call.args, call.kwargs = replaced(call.args, constant), replaced(call.kwargs, constant)
        return self.follow(call, call.run())

    def _leads_to_input(self, tensor: Tensor) -> bool:
        """Whether autograd's graph connects a tensor to the input."""
        met, to_visit = set(), [tensor.grad_fn]
        while to_visit:
            node = to_visit.pop()
            if node is None or node in met:
                continue
            if getattr(node, "variable", None) is self.leaf:
                return True
            met.add(node)
            to_visit.extend(following for following, _ in node.next_functions)
        return False

    def _constant(self, call: Call) -> Any:
        """Make a call that no relevance passes: parameters must not make signals of its result."""
        if any(t.requires_grad for t in tensors((call.args, call.kwargs))):
            with torch.no_grad():
                return call.run()
        return call.run()
