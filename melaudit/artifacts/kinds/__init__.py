"""The artifacts, one file each. `melaudit/artifacts/registry.py` puts them in order."""
