"""Inputs for fuzzing: sound ones that are damaged, and ones that are made up by their grammar."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

MAX_BYTES = 20_000
"""Of a made-up input."""

_EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
NAMES = [
    *(
        "w",
        "fc.weight",
        "../../x",
        "/etc/passwd",
        "=1+1",
        "<script>",
        "\x1b[2J",
        "\u202e",
        "\udcff",
    ),
    *("\0", "", "a" * 300, "{{7*7}}", "\n::error::x", "é"),
]
"""Names that are usual, and names that act."""
TEXTS = st.sampled_from(NAMES) | st.text(max_size=12)
NUMBERS = (
    st.sampled_from([0, -1, 1, 2, 10**30, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf")])
    | st.integers(-10, 300)
    | st.floats()
)
JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw: DrawFn, sound: Sequence[bytes]) -> bytes:
    """Return one of the sound inputs with a few bytes changed, taken out, repeated or put in."""
    content = bytearray(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from([1, 2, 4, 8, 64, 1024]))
        match draw(st.sampled_from(["set", "number", "out", "twice", "in", "end", "other"])):
            case "set":
                content[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case "number":
                order = draw(st.sampled_from(["little", "big"]))
                number = draw(st.sampled_from(_EDGES))
                size = draw(st.sampled_from([1, 2, 4, 8]))
                value = (number % 2 ** (8 * size)).to_bytes(size, order)
                content[place : place + size] = value
            case "out":
                del content[place : place + length]
            case "twice":
                content[place:place] = content[place : place + length]
            case "in":
                content[place:place] = draw(st.binary(max_size=16))
            case "end":
                del content[place:]
            case "other":
                other = draw(st.sampled_from(sound))
                content[place:] = other[draw(st.integers(0, len(other))) :]
    return bytes(content)


# --- pickles and headers ---------------------------------------------------------------------

_GLOBALS = [
    *("os system", "builtins eval", "posix mkdir", "torch load", "functools partial"),
    *("collections OrderedDict", "collections Counter", "builtins set", "_codecs encode"),
    *("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "torch FloatStorage"),
    *("torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_qtensor", "torch Size"),
    *("torch device", "torch._tensor _rebuild_from_type_v2", "numpy dtype", "torch float8_e4m3fn"),
    *("torch._utils _rebuild_meta_tensor_no_storage", "torch.serialization _get_layout"),
    *("numpy._core.multiarray scalar", "torch.nn.parameter Parameter", "torch Tensor"),
]


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


_OPCODES: SearchStrategy[bytes] = st.one_of(
    st.sampled_from([bytes([c]) for c in b"(]})tdl0211N\x85\x86\x87aesubRoQ\x81\x88\x89\x94\x8f"]),
    st.sampled_from(_GLOBALS).map(lambda g: b"c" + g.replace(" ", "\n").encode() + b"\n"),
    TEXTS.map(_text),
    st.sampled_from(["storage", "cpu", "0", "latin1", "hex", "strided"]).map(_text),
    st.sampled_from(_EDGES).map(lambda n: b"J" + struct.pack("<I", n % 2**32)),
    st.integers(0, 9).map(lambda n: b"K" + bytes([n])),
    st.sampled_from(_EDGES).map(lambda n: b"\x8a\x09" + n.to_bytes(9, "little")),
    st.integers(0, 5).flatmap(lambda n: st.sampled_from([b"q" + bytes([n]), b"h" + bytes([n])])),
    st.floats().map(lambda x: b"G" + struct.pack(">d", x)),
)
PICKLES: SearchStrategy[bytes] = st.one_of(
    st.lists(_OPCODES, max_size=60).map(lambda codes: b"\x80\x02" + b"".join(codes) + b"."),
    JSON.map(lambda value: pickle.dumps(value, 2)),
)

_DTYPES = ["F32", "F16", "BF16", "F8_E4M3", "I64", "BOOL", "F99", "U8"]
_SIDES = [0, 1, 2, 4, 2**31, 2**62, 2**63, -1]
_ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F8_E4M3", "I64", "BOOL", "F99", "U8"])
        | JSON,
        "shape": st.lists(st.sampled_from([0, 1, 2, 4, 2**31, 2**62, 2**63, -1]), max_size=4)
        | JSON,
        "data_offsets": st.lists(st.sampled_from([0, 4, 8, 16, 64, 2**63]), max_size=3) | JSON,
    },
)


@st.composite
def headers(draw: DrawFn) -> bytes:
    """Return a file of safetensors whose header is made up."""
    entries = draw(st.dictionaries(TEXTS, _ENTRIES | JSON, max_size=5))
    text = json.dumps(entries).encode()
    length = draw(st.sampled_from([len(text), len(text) + 1, len(text) - 1, *_EDGES]))
    return struct.pack("<Q", length % 2**64) + text + bytes(draw(st.integers(0, 80)))


# --- documents -------------------------------------------------------------------------------


def changed(document: Any) -> SearchStrategy[Any]:
    """Return a strategy for a JSON document with a few of its values replaced or taken out."""

    @st.composite
    def change(draw: DrawFn) -> Any:
        data = json.loads(json.dumps(document))
        for _ in range(draw(st.integers(1, 3))):
            place, key = data, None
            while isinstance(place, dict | list) and place:
                keys = sorted(place) if isinstance(place, dict) else range(len(place))
                parent, key = place, draw(st.sampled_from(keys))
                place = parent[key]
                if draw(st.integers(0, 3)) == 0:
                    break
            if key is None:
                continue
            if draw(st.integers(0, 4)) == 0:
                del parent[key]
            else:
                parent[key] = draw(JSON)
        return data

    return change()


_KEYS = st.sampled_from(
    ["accuracy", "max_skipped", "waiver", "pass", "data", "model", "seed", "classes"]
)
_VALUES: SearchStrategy[str] = st.one_of(
    NUMBERS.map(str),
    TEXTS.map(lambda t: json.dumps(t.encode("ascii", "replace").decode())),
    st.sampled_from(["true", "[1, 2]", "{a = 1}", "1979-05-27", "[[[", "'", "nan", "-inf", "[]"]),
)


def toml(tables: Sequence[str], keys: Sequence[str]) -> SearchStrategy[str]:
    """Return a strategy for texts of TOML with these tables and keys, and others."""
    known = st.sampled_from([*keys]) | _KEYS
    line = st.one_of(
        st.tuples(known, _VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
        st.sampled_from([f"[{t}]" for t in tables] + [f"[[{t}]]" for t in tables] or ["[a]"]),
        TEXTS.map(lambda t: t.encode("ascii", "replace").decode()),
    )
    return st.lists(line, max_size=8).map("\n".join)


_CELLS = TEXTS | st.sampled_from(
    ["000.jpg", "001.jpg", "../001.jpg", "a", "b", '"', '""', "image", "label", "1", "0.5", "\r"]
)


@st.composite
def tables(draw: DrawFn) -> bytes:
    """Return a table of made-up cells, in some encoding, with some delimiter."""
    delimiter = draw(st.sampled_from(",;\t|"))
    rows = draw(st.lists(st.lists(_CELLS, max_size=4), max_size=12))
    if draw(st.booleans()):
        rows.insert(0, ["image", "label"])
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(delimiter.join(row) for row in rows)
    coding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin1"]))
    return text.encode(coding, "replace" if coding == "latin1" else "surrogatepass")
