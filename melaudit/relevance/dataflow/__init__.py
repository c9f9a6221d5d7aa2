"""The data-flow engine: LRP by rules for the operations that a forward pass performs."""
