"""Fixtures every test may use."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real images and trained models, or skip the test."""
    for place in (ROOT / "shared", ROOT.parent / "shared"):
        if (place / "data").is_dir():
            return place
    pytest.skip("needs the real images and models of a folder `shared`, which is not here")
