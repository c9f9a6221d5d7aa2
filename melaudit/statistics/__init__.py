"""The statistics that findings rest on: pure functions on arrays."""
