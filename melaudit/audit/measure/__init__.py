"""The pass over the data, and the store of what it measured."""
