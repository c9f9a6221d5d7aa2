"""Dermoscopy artifacts: find them in an image."""
