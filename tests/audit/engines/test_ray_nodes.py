"""A Ray cluster of two nodes on this machine, started and stopped here, one of which is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.engines import FILES, Place

pytest.importorskip("ray", reason="Ray is not installed")


@pytest.mark.timeout(900)  # eight processes start, each of which imports PyTorch
def test_a_cluster_that_loses_a_node_writes_what_one_process_does(tmp_path: Path) -> None:
    place = Place(tmp_path, edits=2)
    place.draw(12)
    alone = place.audited("alone")
    assert set(alone.files) == set(FILES)
    # The second node goes when the third result is there, and what it held goes to the other.
    cluster = place.audited("ray", "node", 3.0)
    assert cluster.files == alone.files, cluster.said
    there, shards = cluster.shards
    assert there == shards == alone.shards[1]
