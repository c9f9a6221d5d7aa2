"""What is asked of the explained model: outputs, layers, and leaving it as it was."""
