"""The tests; a package, so that nothing else called `tests` is imported in its place."""
