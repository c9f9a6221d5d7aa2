"""Find the image files under a folder, and the files that a table names."""

# Strings, because a Path object for each of 400,000 names would cost seconds and hundreds of MB.
# ruff: noqa: PTH116, PTH122

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from melaudit.images.imagefile import SUFFIXES
from melaudit.wording.names import visible

_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}
_MAX_DEPTH = 64
"""Folders within folders that are followed. Chosen: a round figure, not measured."""
_MAX_EXAMPLES = 5
"""Names that are kept for each reason."""


class Omissions:
    """Count the files and rows that cannot be used, by reason, with a few examples of each."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Count one name; the first few of each reason are kept as examples, safe to show."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _MAX_EXAMPLES:
            examples.append(visible(name))

    @property
    def examples(self) -> dict[str, tuple[str, ...]]:
        """Reason -> the first few names."""
        return {reason: tuple(names) for reason, names in self._examples.items()}

    def __str__(self) -> str:
        """List the reasons, the most frequent first: "missing: 3 (a.jpg, b.jpg, c.jpg)"."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return "; ".join(f"{r}: {n} ({', '.join(self._examples[r][:3])})" for r, n in ranked)


def contained(path: str, roots: Iterable[str]) -> bool:
    """Tell whether a real path (without links) lies under one of the real roots."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


def image_files(
    root: str, omitted: Omissions, *, elsewhere: tuple[str, ...] = ()
) -> dict[str, int]:
    """Return the image files below a real root: path relative to it (with /) -> size in bytes.

    Hidden files are ignored. A link is followed if it leads to a file below the root, or to
    anything below the real folders `elsewhere`; all other links are counted in `omitted`. Folders
    that are not looked into are counted there too, under the reasons in `findings.UNSEEN_FOLDERS`.
    """
    found: dict[str, int] = {}
    followed: set[str] = set()
    folders = [(root, "", 0)]
    while folders:
        folder, prefix, depth = folders.pop()
        for entry in _entries(folder, prefix, omitted):
            name = prefix + entry.name
            suffix = os.path.splitext(entry.name)[1].lower()
            try:
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if not contained(target, (root, *elsewhere)):
                        omitted.add(_why_not_followed(entry, suffix), name)
                        continue
                    if entry.is_dir():
                        # Folders below the root are visited in their own place; this ends loops.
                        if contained(target, (root,)) or target in followed:
                            omitted.add("symlinked_folder", name)
                            continue
                        followed.add(target)
                if entry.is_dir():
                    if depth < _MAX_DEPTH:
                        folders.append((entry.path, f"{name}/", depth + 1))
                    else:
                        omitted.add("folder_too_deep", name)
                elif suffix not in SUFFIXES:
                    omitted.add("not_an_image_extension", name)
                elif entry.is_file():
                    found[name] = entry.stat().st_size
                else:
                    omitted.add("missing" if entry.is_symlink() else "not_a_file", name)
            except OSError:
                omitted.add("unreadable", name)
    return found


def _why_not_followed(link: os.DirEntry[str], suffix: str) -> str:
    """Return the reason to leave out a link that leads elsewhere; where it leads is not read."""
    try:
        folder = link.is_dir()
    except OSError:  # whatever is behind it may not be looked at
        folder = suffix not in SUFFIXES
    if folder:
        return "folder_outside_root"
    return "symlink_outside_root" if suffix in SUFFIXES else "not_an_image_extension"


def _entries(folder: str, prefix: str, omitted: Omissions) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder by name, without hidden and system files."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        omitted.add("folder_unreadable", prefix or folder)
        return
    for entry in entries:
        if entry.name.startswith("._") and os.path.splitext(entry.name)[1].lower() in SUFFIXES:
            omitted.add("apple_double", prefix + entry.name)
        elif not entry.name.startswith(".") and entry.name.lower() not in _IGNORED:
            yield entry


class FileFinder:
    """Find the files that a table names: first as a path, then by name anywhere below the root.

    A name may have no extension, differ in case, or have or lack ISIC's `_downsampled`.
    """

    kind = ""

    def __init__(self, root: Path, bases: Iterable[Path] = ()) -> None:
        self.root = os.path.realpath(root)
        self._bases = tuple(dict.fromkeys([self.root, *map(os.path.realpath, bases)]))
        self._real: dict[str, str] = {}
        self._index: dict[str, str | None] | None = None
        self._sizes: dict[str, int] = {}

    def place(self, name: str) -> str:
        """Return the path of a file, which is named relative to the root."""
        return f"{self.root}/{name}"

    def find(self, name: str) -> tuple[str, int] | str:
        """Return the path of a file relative to the root and its size in bytes, or a reason.

        Reasons: missing, ambiguous_name (fits several files), outside_root, symlink_outside_root,
        not_a_file, not_an_image_extension, unreadable.
        """
        plain = name.replace("\\", "/")
        suffix = os.path.splitext(plain)[1].lower()
        reasons = []
        for base in self._bases:
            hit = self._probe(os.path.normpath(f"{base}/{plain}" if plain[:1] != "/" else plain))
            if isinstance(hit, tuple):
                return hit if suffix in SUFFIXES or not suffix else "not_an_image_extension"
            reasons.append(hit)
        if "missing" in reasons or (not suffix and "not_a_file" in reasons):
            return self._look_up(plain)
        return reasons[0]

    def _probe(self, path: str) -> tuple[str, int] | str:
        """Look at one absolute path, which may be anywhere."""
        folder, name = os.path.split(path)
        try:
            if folder not in self._real:
                self._real[folder] = os.path.realpath(folder)
            within = contained(path, (self.root,))
            if not contained(f"{self._real[folder]}/{name}", (self.root,)):
                return "symlink_outside_root" if within else "outside_root"
            if not within:  # an absolute path that reaches the root through a link
                path = f"{self._real[folder]}/{name}"
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not contained(os.path.realpath(path), (self.root,)):
                    return "symlink_outside_root"
                status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except (OSError, ValueError):  # ValueError: a NUL in the name
            return "unreadable"
        if not stat.S_ISREG(status.st_mode):
            return "not_a_file"
        return os.path.relpath(path, self.root).replace(os.sep, "/"), status.st_size

    def _look_up(self, name: str) -> tuple[str, int] | str:
        if self._index is None:
            self._sizes = image_files(self.root, Omissions())
            self._index = names_of(self._sizes)
        key = "".join(stem_of(name))
        if key not in self._index:
            return "missing"
        hit = self._index[key]
        return "ambiguous_name" if hit is None else (hit, self._sizes[hit])


def names_of(files: Iterable[str]) -> dict[str, str | None]:
    """Map every name of a file to the file, or to None if several files have that name."""
    index: dict[str, str | None] = {}
    for file in files:
        stem, suffix = stem_of(file)
        stems = [stem, stem.rpartition("/")[2]] if "/" in stem else [stem]
        for way in stems:
            for key in dict.fromkeys((way, way + suffix)):
                index[key] = None if key in index else file
    return index


def stem_of(name: str) -> tuple[str, str]:
    """Normalise a name for comparison and split it into stem and image extension, if any.

    Case and ISIC's `_downsampled` are dropped.
    """
    stem, suffix = os.path.splitext(name.casefold())
    if suffix not in SUFFIXES:  # "nevus.v2" has no extension
        stem, suffix = stem + suffix, ""
    return stem.removesuffix("_downsampled"), suffix


def empty_folders(root: str) -> list[str]:
    """Return the folders without any visible file; a folder of other files is not empty."""
    empty = []
    for folder in Path(root).iterdir():
        name = folder.name
        if name.startswith((".", "__")) or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            if not any(not file.name.startswith(".") for file in folder.iterdir()):
                empty.append(name)
        except OSError:  # already counted by `image_files`
            continue
    return empty


def twins(ids: Sequence[str]) -> list[str]:
    """Note names that some file systems, and most readers, cannot tell apart."""
    folded = Counter(
        name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
        for name in ids
    )
    alike = sum(n for n in folded.values() if n > 1)
    if not alike:
        return []
    return [f"{alike} images have names that differ in case or Unicode form only."]
