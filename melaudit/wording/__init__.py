"""How figures, names and sentences are written."""
