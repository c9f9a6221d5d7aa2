"""Pickles: read from the opcodes what a pickle would import and call, without executing any."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import torch

MAX_PICKLE_BYTES = 64 * 2**20
"""The pickle in a checkpoint names its tensors and does not hold their numbers. Chosen: a round
figure, not measured."""

_MAX_OPCODES = 2_000_000
_MAX_DEPTH = 500
"""Containers within containers: torch and Python free them one inside the other."""
_MAX_EXPANSION = 1_000_000
"""Nodes of a tuple with its repetitions written out, because hashing visits all of them. Chosen:
round figures, not measured."""

_STORAGES = {
    f"{module}.{kind}Storage"
    for module in ("torch", "torch.cuda")
    for kind in (
        *("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"),
        *("ComplexFloat", "ComplexDouble", "QInt8", "QUInt8", "QInt32"),
    )
} | {"torch.storage.UntypedStorage", "torch.storage.TypedStorage"}
_REBUILDERS = {
    f"torch._utils._rebuild_{what}"
    for what in (
        *("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state"),
        *("sparse_tensor", "qtensor", "meta_tensor_no_storage", "device_tensor_from_numpy"),
    )
}
_DTYPES = {str(value) for value in vars(torch).values() if isinstance(value, torch.dtype)}
NUMPY_SCALARS = frozenset(
    {
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
    }
)
"""The globals of a best accuracy or a mean loss that was kept as a numpy number."""

DESCRIPTIVE = frozenset(
    {
        *("collections.OrderedDict", "collections.Counter", "builtins.set"),
        *("builtins.complex", "_codecs.encode"),
        *("torch.Size", "torch.device", "torch.Tensor"),
        *("torch.nn.parameter.Parameter", "torch._tensor._rebuild_from_type_v2"),
        *("torch.serialization._get_layout", "torch.per_tensor_affine", "torch.per_channel_affine"),
        *_STORAGES,
        *_REBUILDERS,
        *_DTYPES,
    }
)
"""Globals that only describe tensors and plain containers; anything else is foreign."""

CONTAINERS = frozenset(
    {"collections.defaultdict", "builtins.dict", "builtins.list", "builtins.frozenset"}
)
"""Further harmless globals, which torch does not load with weights_only."""

_ENCODE = "_codecs.encode"
_ENCODINGS = {"latin1", "latin-1"}

_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_BY_NAME = {"PUT", "BINPUT", "LONG_BINPUT"}
_FROM_MEMO = {"GET", "BINGET", "LONG_BINGET"}


def global_name(module: str, name: str) -> str:
    """Return the present name of a global in a pickle: "builtins.set"."""
    return f"{_PYTHON_2.get(module, module)}.{name}"


class MalformedPickleError(ValueError):
    """A pickle that is truncated, or whose opcodes make no sense."""


@dataclass(frozen=True)
class Disassembly:
    """What the opcodes of one pickle show."""

    globals: frozenset[str]
    """Everything it would import: "module.name"."""
    protocol: int
    """The highest protocol whose opcodes it uses."""
    first_integer: int | None
    """The first integer; old files of torch.save begin with a magic number."""

    @property
    def foreign(self) -> tuple[str, ...]:
        """The globals that a file of tensors does not need, in alphabetical order."""
        return tuple(sorted(self.globals - DESCRIPTIVE - NUMPY_SCALARS))


@dataclass(slots=True)
class _Item:
    """A stand-in for an object on the unpickler's stack."""

    nodes: int
    """Number of objects that it consists of, repeated ones counted each time."""
    text: str | None = None
    """The text of a string, or the name of a global."""
    last: str | None = None
    """The text of the last object in a tuple."""
    depth: int = 0
    """Number of containers within each other."""


def disassemble(stream: IO[bytes]) -> Disassembly:
    """Read one pickle from the position of the stream to its end, executing nothing.

    Raises MalformedPickleError if it is broken, or built to exhaust time or memory.
    """
    globals_: set[str] = set()
    protocol, first = 0, None
    stack: list[_Item | None] = []  # None is a mark
    memo: dict[int, _Item] = {}
    for opcode, argument in _opcodes(stream):
        name = opcode.name
        protocol = max(protocol, opcode.proto, argument if name == "PROTO" else 0)
        if (
            first is None
            and isinstance(argument, int)
            and name.startswith(("INT", "LONG", "BININ"))
        ):
            first = argument
        called = None
        if name in {"GLOBAL", "INST"}:
            called = global_name(*argument.split(" ", 1))
            globals_.add(called)
        elif name == "STACK_GLOBAL":
            called = global_name(*(_text(stack, place) for place in (-2, -1)))
            globals_.add(called)
        elif name in {"REDUCE", "OBJ"}:
            _check_encoding(name, stack)
        elif name.startswith("EXT"):
            globals_.add(f"copyreg extension {argument}")
        if name == "MARK":
            stack.append(None)
        elif name in _BY_NAME:
            if int(argument) > _MAX_OPCODES:  # Python's unpickler would allocate all before it
                raise MalformedPickleError(f"it stores its object number {argument}")
            memo[int(argument)] = _top(stack)
        elif name == "MEMOIZE":
            memo[len(memo)] = _top(stack)
        elif name in _FROM_MEMO:
            if int(argument) not in memo:
                raise MalformedPickleError(f"it refers to object {argument}, which it never stored")
            stack.append(memo[int(argument)])
        elif name == "DUP":
            stack.append(_top(stack))
        else:
            _apply(opcode, called or argument, stack)
    return Disassembly(frozenset(globals_), protocol, first)


def _opcodes(stream: IO[bytes]) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    count = 0
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            count += 1
            if count > _MAX_OPCODES:
                raise MalformedPickleError(f"it has more than {_MAX_OPCODES:,} opcodes")
            yield opcode, argument
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise MalformedPickleError(str(error)) from error


def _apply(opcode: pickletools.OpcodeInfo, argument: object, stack: list[_Item | None]) -> None:
    """Pop from the stack what an opcode takes, and push an item of their total size."""
    nodes, last, depth = 0, None, 0
    if stack and (top := stack[-1]) is not None and "TUPLE" in opcode.name:
        last = top.text
    for needed in reversed(opcode.stack_before):
        if needed is pickletools.stackslice:
            while stack and stack[-1] is not None:
                item = _pop(stack)
                nodes, depth = nodes + item.nodes, max(depth, item.depth)
        elif needed is pickletools.markobject:
            if not stack or stack.pop() is not None:
                raise MalformedPickleError(f"{opcode.name} finds no mark")
        elif opcode.name == "POP" and stack and stack[-1] is None:
            stack.pop()
        else:
            item = _pop(stack)
            nodes, depth = nodes + item.nodes, max(depth, item.depth)
    if depth > _MAX_DEPTH:
        raise MalformedPickleError(f"it nests containers more than {_MAX_DEPTH} deep")
    if nodes > _MAX_EXPANSION and "TUPLE" in opcode.name:
        raise MalformedPickleError("it repeats tuples within tuples beyond all measure")
    text = argument if isinstance(argument, str) else None
    stack.extend(_Item(nodes + 1, text, last, depth + 1) for _ in opcode.stack_after)


def _check_encoding(opcode: str, stack: list[_Item | None]) -> None:
    """Refuse texts that are encoded otherwise than as bytes, which is how pickle uses it.

    A few letters that are encoded as hex again and again would fill the memory.
    """
    if opcode == "REDUCE":
        amiss = _text(stack, -2) == _ENCODE and (_top(stack).last not in _ENCODINGS)
    else:  # OBJ also calls; pickle uses it to make instances of old classes
        amiss = any(item is not None and item.text == _ENCODE for item in stack)
    if amiss:
        raise MalformedPickleError("it encodes a text otherwise than bytes are kept, as latin1")


def _pop(stack: list[_Item | None]) -> _Item:
    item = _top(stack)
    stack.pop()
    return item


def _top(stack: list[_Item | None]) -> _Item:
    if not stack or stack[-1] is None:
        raise MalformedPickleError("it takes an object from an empty stack")
    return stack[-1]


def _text(stack: list[_Item | None], place: int) -> str:
    item = stack[place] if len(stack) >= -place else None
    return "?" if item is None or item.text is None else item.text
