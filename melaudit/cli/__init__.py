"""The command line: parses, calls one function, prints, returns a code."""

from melaudit.cli.application import cli, main

__all__ = ["cli", "main"]
