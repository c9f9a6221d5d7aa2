"""What the measurements say of patients, lesions and the other columns of the data table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from melaudit.audit.conclude.table import groups, measured
from melaudit.audit.measure.store import Store
from melaudit.audit.prepare.preparation import Prepared
from melaudit.images.dataset import open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.models.architectures import LoadedModel


def cells(*values: Any) -> Any:
    return np.array(values, np.object_)


def test_rows_of_one_patient_are_one_group_and_unknown_patients_are_groups_of_their_own() -> None:
    found = groups({"patient_id": cells("p1", "p2", "p1", None, "")}, tuple("abcde"))
    assert found is not None
    assert found[0] == found[2]
    assert len(set(found)) == 4


def test_the_patient_is_taken_before_the_lesion() -> None:
    found = groups(
        {"lesion_id": cells("l1", "l2", "l3"), "patient_id": cells("p", "p", "q")}, tuple("abc")
    )
    assert found is not None
    assert found[0] == found[1] != found[2]


def test_the_lesion_is_taken_where_every_image_has_the_same_patient() -> None:
    found = groups(
        {"lesion_id": cells("l1", "l1", "l2"), "patient_id": cells("p", "p", "p")}, tuple("abc")
    )
    assert found is not None
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("metadata", [{}, {"patient_id": cells(None, "", None)}])
def test_nothing_is_grouped_where_nothing_is_known(metadata: Any) -> None:
    assert groups(metadata, tuple("abc")) is None


def test_metadata_are_those_of_the_images_that_were_read(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        Image.new("RGB", (40, 40)).save(tmp_path / f"{name}.png")
    table = tmp_path / "table.csv"
    table.write_text("image,dx,gender,age,patient\nc,nv,male,50,9\na,mel,,40,7\nb,nv,female,,8\n")
    dataset = open_dataset(table)
    store = Store(tmp_path / "shards", "run", dataset.ids)
    read = np.array([True, False, True])
    store.write(
        0,
        {"status": cells("ok", "skipped", "ok"), "reasons": cells("", "damaged", "")},
        {
            "row": np.array([0, 2]),
            "prediction": np.array([0, 1]),
            "target": np.array([0, 1]),
            "logits": np.zeros((2, 2), np.float32),
        },
        read,
    )
    prepared = Prepared(
        LoadedModel(torch.nn.Identity(), "", "", 2, None, None, None, ""),
        dataset,
        resolve(None, image_size=32),
        dataset.classes,
        None,
        torch.device("cpu"),
        (),
    )
    found = measured(store, prepared, "layer", 0)
    assert found.ids == ("a.png", "c.png")
    assert found.metadata["sex"].tolist() == [None, "male"]
    assert found.metadata["age"].tolist() == [40.0, 50.0]
    assert found.groups is not None
    assert found.groups.tolist() == ["patient_id 7", "patient_id 9"]
