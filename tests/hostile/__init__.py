"""Hostile inputs: built by our own code, each with the outcome it must have."""
