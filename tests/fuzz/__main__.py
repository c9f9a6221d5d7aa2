"""Fuzz the boundaries for a time: python -m tests.fuzz --seconds 60 [TARGET ...].

Hypothesis makes the inputs. With --coverage, Atheris (pip install atheris) chooses the bytes from
which they are made, so that code is reached which was not reached before, and keeps its corpus in
--corpus; this takes one target.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.fuzz.limits import limit_memory


def main(arguments: list[str] | None = None) -> int:
    """Fuzz, and say how many inputs there were; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="their names; default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--at-once", type=int, default=1, help="targets, each in a process")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--coverage", action="store_true", help="guided by coverage, with Atheris")
    parser.add_argument("--corpus", type=Path, help="folder for what Atheris found interesting")
    given = parser.parse_args(arguments)
    if given.coverage:
        if len(given.targets) != 1:
            parser.error("--coverage takes one target")
        _guided(given.targets[0], given.seconds, given.corpus)
    from tests.fuzz.rounds import fuzzed_by_name
    from tests.fuzz.targets import targets

    unknown = set(given.targets) - {target.name for target in targets()}
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}")
    names = [t.name for t in targets() if not given.targets or t.name in given.targets]
    failed = False
    with ProcessPoolExecutor(given.at_once, initializer=limit_memory) as processes:
        done = [processes.submit(fuzzed_by_name, name, given.seconds, given.seed) for name in names]
        for each in done:
            found, told = each.result()
            failed |= found
            print(told, flush=True)
    return int(failed)


def _guided(name: str, seconds: float, corpus: Path | None) -> None:
    """Fuzz with Atheris, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["melaudit", "pickletools", "zipfile", "csv"]):
        from tests.fuzz.rounds import one_input
        from tests.fuzz.targets import targets
    target = next(target for target in targets() if target.name == name)
    options = [f"-max_total_time={seconds:.0f}", "-timeout=60", "-rss_limit_mb=8192"]
    if corpus is not None:
        corpus.mkdir(parents=True, exist_ok=True)
        options.append(str(corpus))
    atheris.Setup([sys.argv[0], *options], one_input(target))
    atheris.Fuzz()


if __name__ == "__main__":
    limit_memory()
    raise SystemExit(main())
