"""Images edited and shown to the model again."""
