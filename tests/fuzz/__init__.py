"""Fuzzing: made-up and damaged inputs for each boundary at which bytes of unknown origin arrive."""
