"""Checks of the relevance maps themselves."""
