"""What the finders share: ridges, small marks, light and colour, the end of the field of view."""
