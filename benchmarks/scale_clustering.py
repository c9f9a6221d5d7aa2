"""How strategies scale: time, memory, and whether landmarks give the groups of the exact method.

    python -m benchmarks.scale_clustering [--channels 512] [--sizes 1000,10000,100000,400000]

Every size runs in a process of its own on made-up concept relevance (float16) and pooled maps: six
strategies, each with variation of its own, and a tenth of the images that follow none. Seconds are
the processor's, so that a busy machine does not count. Memory is
the process's peak beyond its state after the vectors were made. At the size named by --agree the
groups are held against those that the exact method, with no landmarks, finds on 10,000 of the
vectors: adjusted Rand index over the images both put into a group, and over all of them with the
images left out as a group of their own.

Beside it stands what parts of pictures cost (`exclusive`): made-up words of two vocabularies, 256
and 64 places, with a part planted in a tenth of one class.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
from sklearn.metrics import adjusted_rand_score

from melaudit.audit.groups.clustering import dense_groups
from melaudit.audit.groups.embedding import Points, fit
from melaudit.audit.groups.exclusive import counted, exclusive_patterns
from melaudit.audit.groups.strategies import smallest_group, strategies
from melaudit.audit.measure.visual_words import MAX_VISUAL_WORDS, SIDES, Vocabulary
from melaudit.measurements import CHUNK
from melaudit.statistics.overlap import jaccard

CELLS = 64
STRATEGIES = 6
SUBSET = 10_000


def vectors(n: int, channels: int, seed: int) -> tuple[np.ndarray, Points]:
    """Make concepts (n, channels) float16 and maps (n, CELLS) float32, some rows at a time."""
    rng = np.random.default_rng(seed)
    concepts, maps = np.empty((n, channels), np.float16), np.empty((n, CELLS), np.float32)
    kinds = rng.choice(STRATEGIES + 1, n, p=[0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.1])
    for block, width in ((concepts, channels), (maps, CELLS)):
        centres = rng.normal(0, 3 / np.sqrt(width), (STRATEGIES + 1, width))
        axes = rng.normal(0, 0.4 / np.sqrt(width), (STRATEGIES + 1, 5, width))
        for start in range(0, n, CHUNK):
            kind = kinds[start : start + CHUNK]
            some = rng.normal(0, 0.3 / np.sqrt(width), (len(kind), width))
            inner = rng.normal(size=(len(kind), 5))
            for k in range(STRATEGIES + 1):
                mine = kind == k
                spread = 3.0 if k == STRATEGIES else 1.0  # the images that follow no strategy
                some[mine] += centres[k] * (k < STRATEGIES) + spread * inner[mine] @ axes[k]
            block[start : start + CHUNK] = some
    return concepts, maps


def measure(n: int, channels: int, agree: bool) -> dict[str, float]:
    """Measure one size in this process."""
    concepts, maps = vectors(n, channels, 0)
    before = _peak()
    start = time.process_time()
    found = strategies(concepts, maps, 0)
    result = {
        "n": n,
        "seconds": time.process_time() - start,
        "vectors_mb": (concepts.nbytes + maps.nbytes) / 2**20,
        "extra_mb": _peak() - before,
        "strategies": len(found),
    }
    return result | (agreement(concepts) if agree else {})


def measure_parts(n: int) -> dict[str, float]:
    """Measure in this process what the parts cost that one class of n images shows."""
    rng = np.random.default_rng(0)
    own = rng.permutation(n) < n // 2
    planted = own & (rng.random(n) < 0.2)
    positive = np.empty((n, 32, 32), np.float16)
    words = [np.empty((n, side, side), np.uint8) for side in SIDES]
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        maps = rng.random((len(positive[rows]), 32, 32), np.float32)
        positive[rows] = maps / maps.sum((1, 2), keepdims=True)
        for block in words:
            block[rows] = rng.integers(0, MAX_VISUAL_WORDS - 2, block[rows].shape)
            block[rows][planted[rows], 0] = MAX_VISUAL_WORDS - 1
    where = rng.normal(size=(MAX_VISUAL_WORDS, 24)).astype(np.float32)
    vocabularies = [
        Vocabulary("", side, np.zeros(1, np.float32), np.ones((1, 24), np.float32), where)
        for side in SIDES
    ]
    before, start_at = _peak(), time.process_time()
    counts = [counted(block, positive, MAX_VISUAL_WORDS) for block in words]
    found = exclusive_patterns(
        [c.of(own) for c in counts],
        [c.of(~own) for c in counts],
        vocabularies,
        smallest_group(int(own.sum())),
        0,
    )
    assert found and jaccard(found[0].members, planted[own]) > 0.99
    return {"parts_seconds": time.process_time() - start_at, "parts_mb": _peak() - before}


def agreement(concepts: np.ndarray) -> dict[str, float]:
    """Hold the groups by landmarks against those of the exact method on a subset."""
    projection = fit(concepts, 0)
    assert projection is not None
    points = projection.apply(concepts)
    n = len(points)
    some = np.sort(np.random.default_rng(1).choice(n, SUBSET, replace=False))
    landmarks = dense_groups(points, smallest_group(n), 0)[some]
    exact = dense_groups(points[some], smallest_group(n) * SUBSET // n, 0, exact=SUBSET)
    both = (landmarks >= 0) & (exact >= 0)
    return {
        "ari_grouped": float(adjusted_rand_score(exact[both], landmarks[both])),
        "ari_all": float(adjusted_rand_score(exact, landmarks)),
    }


def main() -> None:
    """Measure every size in a fresh process and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale_clustering",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--sizes", default="1000,10000,100000,400000")
    parser.add_argument("--agree", type=int, default=100_000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.parts:
        print(json.dumps(measure_parts(given.parts)))
        return
    if given.one:
        print(json.dumps(measure(given.one, given.channels, given.one == given.agree)))
        return
    heads = [
        *("vectors", "processor s", "per 1000", "vectors, MB", "peak beyond them, MB"),
        *("strategies", "parts, s", "parts, peak MB"),
    ]
    print("| " + " | ".join(heads) + " |")
    print("| ---: " * len(heads) + "|")
    for size in map(int, given.sizes.split(",")):
        row = _elsewhere("--one", size, given) | _elsewhere("--parts", size, given)
        print(
            f"| {size:,} | {row['seconds']:.1f} | {1000 * row['seconds'] / size:.2f} | "
            f"{row['vectors_mb']:.0f} | {row['extra_mb']:.0f} | {row['strategies']} | "
            f"{row['parts_seconds']:.1f} | {row['parts_mb']:.0f} |",
            flush=True,
        )
        if "ari_all" in row:
            print(
                f"adjusted Rand index at {size:,} with the exact method on {SUBSET:,}: "
                f"{row['ari_grouped']:.3f} (grouped), {row['ari_all']:.3f} (all)",
                file=sys.stderr,
                flush=True,
            )


def _elsewhere(what: str, size: int, given: argparse.Namespace) -> dict[str, float]:
    """Measure in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scale_clustering", what, str(size)]
    command += ["--channels", str(given.channels), "--agree", str(given.agree)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _peak() -> float:
    """Return the most memory this process has held, in MB."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / 1024 if sys.platform != "darwin" else held / 2**20


if __name__ == "__main__":
    main()
