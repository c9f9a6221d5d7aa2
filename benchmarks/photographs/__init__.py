"""Shortcuts planted into photographs: the parts of `python -m benchmarks.photographs`."""
