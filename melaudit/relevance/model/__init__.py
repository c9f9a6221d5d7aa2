"""The explained model: its outputs, its layers, and leaving it as it was."""
