"""The four rungs of evidence on an artifact, and what may be claimed of it."""
