"""Packages that add a detector, an artifact or a domain: written to begin with."""
