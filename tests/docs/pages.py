"""The pages that people read, and what stands in them: code, commands, links.

Texts of the package itself count as pages where they tell somebody to give an option.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

FILES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


@cache
def text(name: str) -> str:
    """Return a page; of the changelog, what holds of the code as it stands."""
    page = (ROOT / name).read_text(encoding="utf-8")
    return "## ".join(page.split("\n## ")[:2]) if name == "CHANGELOG.md" else page


def spans(name: str) -> list[str]:
    """Return what a page sets in backticks, outside its blocks of code."""
    prose = "\n".join(line for line in text(name).splitlines() if not line.startswith("    "))
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def blocks(name: str) -> list[str]:
    """Return a page's blocks of code: runs of lines that are indented by four spaces."""
    found: list[list[str]] = [[]]
    for line in text(name).splitlines():
        if line.startswith("    ") and not line.startswith("     *"):
            found[-1].append(line[4:])
        elif line.strip():
            found.append([])
        elif found[-1]:
            found[-1].append("")
    return ["\n".join(block).strip("\n") for block in found if block]


def command_lines(name: str, program: str) -> Iterator[list[str]]:
    """Yield the words of each line of a page that calls a program, without the program's own."""
    lines = [line for block in blocks(name) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *spans(name)]:
        if line.startswith(f"{program} "):
            yield shlex.split(line.removeprefix(program), comments=True)


def links(name: str) -> Iterator[tuple[Path, str]]:
    """Yield where each link of a page goes: a file of the project, and a heading in it or ""."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        if "://" not in target:
            file, _, heading = target.partition("#")
            yield ((ROOT / name).parent / file if file else ROOT / name), heading


def headings(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def strings(path: Path) -> Iterator[str]:
    """Yield every text in a module: messages, help texts, docstrings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
