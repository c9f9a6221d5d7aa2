"""Faults of the machine, injected into whole audits, and the outcome that each must have."""
