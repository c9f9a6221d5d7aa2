"""Findings -> HTML and JSON."""
