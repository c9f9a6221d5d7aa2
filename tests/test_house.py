"""How the house is built: few and short modules, names that say what is counted, no circle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "melaudit"
FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")})

MODULES = sorted(
    path for name in ("melaudit", "benchmarks", "tests") for path in (ROOT / name).rglob("*.py")
)

MAX_MODULES = 20
"""In one folder, `__init__.py` not counted."""
MAX_LINES = 400
"""Of a module that does not say why it is longer."""
REASON = re.compile(r"^# Long because: \S", re.MULTILINE)
BARE = re.compile(r"_?(FEWEST|FEW|MOST|LEAST|MANY|MORE|MAX|MIN|MAXIMUM|MINIMUM|LIMIT|ENOUGH)")
"""Names of constants that say how much is asked for, and not of what."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_folder_holds_few_modules(folder: Path) -> None:
    modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MAX_MODULES, (
        f"{named(folder)} holds {len(modules)} modules; look for the second idea, at most "
        f"{MAX_MODULES} are easy to find one's way among"
    )


def test_a_long_module_says_why_it_is_long() -> None:
    texts = {named(path): path.read_text(encoding="utf-8") for path in MODULES}
    lines = {name: text.count("\n") for name, text in texts.items() if not REASON.search(text)}
    assert {name: n for name, n in lines.items() if n > MAX_LINES} == {}, (
        f"above {MAX_LINES} lines, look for the second idea, or say in a line "
        "'# Long because: ...' why there is none"
    )


def test_a_constant_says_what_it_counts() -> None:
    bare = [
        f"{named(path)}: {name}"
        for path in MODULES
        for name in constants(path)
        if BARE.fullmatch(name)
    ]
    assert bare == [], "write MIN_IMAGES or MAX_ROWS: what is counted, not only that it is few"


def test_no_module_imports_the_face_of_a_folder_it_stands_in() -> None:
    """`__init__.py` imports the folder's modules; they would import it back."""
    back = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(ROOT).with_suffix("").parts
        faces = {".".join(own[:depth]) for depth in range(1, len(own))}
        back += [
            f"{named(path)}: from {module} import {name}"
            for module, name in imported(path)
            if module in faces and path.name != "__init__.py" and not is_module(module, name)
        ]
    assert back == []


def constants(path: Path) -> Iterator[str]:
    """Yield the names that a module assigns at its top level."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        for name in [name for target in targets for name in ast.walk(target)]:
            if isinstance(name, ast.Name):
                yield name.id


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of what is imported from where, wherever in the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name


def is_module(package: str, name: str) -> bool:
    """Tell whether a name in a package is one of its modules."""
    place = ROOT.joinpath(*package.split("."), name)
    return place.is_dir() or place.with_suffix(".py").is_file()
