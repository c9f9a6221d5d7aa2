"""What the edits share: strokes, covers, inpainted skin, and placebos that show nothing."""
