"""A small demo data set, drawn once for all tests of this folder."""

import pytest

from melaudit.demo.dataset import DemoData, generate


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    """Return 80 training and 40 test pictures, 60 % and 5 % of the classes ringed."""
    out = tmp_path_factory.mktemp("small")
    return generate(out, n_train=80, n_test=40, ring_malignant=0.6, ring_benign=0.05, seed=7)
