"""Dermoscopy artifacts: find them in a picture, add them, remove them, imitate them.

`kinds/` holds the artifacts, one file each; `registry.py` lists them. `search/` is what finders are
made of, `painting/` what edits are made of; both use `picture.py`, and neither knows an artifact.
"""

from melaudit.artifacts.interface import Artifact, Edited, Found, Phrases, Placebo
from melaudit.artifacts.registry import artifacts

__all__ = ["Artifact", "Edited", "Found", "Phrases", "Placebo", "artifacts"]
