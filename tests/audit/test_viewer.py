"""A viewer shows pictures of any size to a model, some at a time."""

import numpy as np
import torch
from torch import nn

from melaudit.audit.viewer import Viewer
from melaudit.images.preprocessing import resolve
from melaudit.relevance import Explainer


def viewer(layer: str) -> Viewer:
    explainer = Explainer(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2)))
    preprocessing = resolve(None, image_size=16, mean=(0.0,), std=(1.0,))
    return Viewer(explainer, preprocessing, torch.device("cpu"), layer, batch_size=3)


def test_pictures_of_any_size_become_inputs_of_one() -> None:
    pictures = [np.full((h, w, 3), 51, np.uint8) for h, w in ((16, 16), (40, 20), (9, 33))]
    x = viewer("0").inputs(pictures)
    assert x.shape == (3, 3, 16, 16)
    torch.testing.assert_close(x, torch.full_like(x, 0.2))


def test_items_come_in_lists_of_a_batch() -> None:
    assert list(viewer("0").batches(range(7))) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_model_without_a_concept_layer_is_asked_for_no_concepts() -> None:
    assert viewer("0").layers == ["0"] and viewer("").layers == []


def test_lists_to_run_forward_are_none_too_small() -> None:
    def sizes(n: int) -> list[int]:
        lists = list(viewer("0").full_batches(range(n)))
        assert [item for each in lists for item in each] == list(range(n))
        return [len(each) for each in lists]

    assert [sizes(n) for n in (0, 1, 2, 3, 5, 6, 7, 8, 9)] == [
        [], [1], [2], [3], [5], [3, 3], [3, 4], [3, 5], [3, 3, 3]
    ]  # fmt: skip
