"""images.parquet: one row per image that was named, with all that is known of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from melaudit.audit.conclude.outcome import Outcome
from melaudit.audit.conclude.table import class_probabilities
from melaudit.audit.measure.columns import MAP
from melaudit.audit.measure.store import Store
from melaudit.audit.prepare.preparation import Prepared
from melaudit.findings import first_clusters
from melaudit.publish import publish

_KEPT_ELSEWHERE = ("row", "logits", "prediction", "target", "status", "reasons", MAP)
_RANKED = ("attention.channels", "attention.weights")
"""Columns with a few values for each image, the first one largest, that get a cell each."""


def image_table(result: Outcome, prepared: Prepared, store: Store) -> pd.DataFrame:
    """Return the table: label, prediction, probabilities, scalars of all detectors, cluster.

    The channels that the model itself attends to most come with their weights, where it has
    attention. Maps and masks stay in the shards. Images that were not read keep their row, with
    empty cells.
    """
    dataset, table = prepared.dataset, result.measurements
    n, rows = len(dataset.ids), store.column("row")
    names = np.array([*prepared.classes, None], object)
    columns: dict[str, Any] = {
        "id": list(dataset.ids),
        "status": store.column("status"),
        "reasons": store.column("reasons"),
        "label": names[dataset.labels],
        "prediction": _spread(names[table.predictions], rows, n),
    }
    chances = class_probabilities(table)
    for i, name in enumerate(prepared.classes):
        columns[f"probability_{name}"] = _spread(chances[:, i], rows, n)
    for name in store.names():
        if name not in _KEPT_ELSEWHERE:
            values = store.column(name)
            if values.ndim == 1:
                columns[name] = _spread(values, rows, n)
            elif name in _RANKED:
                for rank in range(values.shape[1]):
                    columns[f"{name}_{rank + 1}"] = _spread(values[:, rank], rows, n)
    cluster_of = first_clusters(result.clusters)
    columns["cluster"] = [cluster_of.get(identity) for identity in dataset.ids]
    for name, known in dataset.metadata.items():
        columns[f"meta_{name}"] = list(known)
    return pd.DataFrame(columns)


def write_images(path: Path, result: Outcome, prepared: Prepared, store: Store) -> None:
    """Write images.parquet, whole or not at all."""
    buffer = io.BytesIO()
    image_table(result, prepared, store).to_parquet(buffer, index=False)
    publish(path, buffer.getvalue())


def _spread(values: Any, rows: Any, n: int) -> pd.Series[Any]:
    """Put the values of the images that were read into their rows among all n."""
    return pd.Series(values, index=rows).reindex(range(n))
