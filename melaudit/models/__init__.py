"""Checkpoints: read without running anything in them, and made into a model that runs."""
