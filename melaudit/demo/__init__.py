"""A dermoscopy-like data set with a planted shortcut, and a small model that learns it."""
