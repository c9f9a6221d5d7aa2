"""The parts of the data-flow engine: LRP read off the operations that a forward pass performs."""
