"""What edits are made of: drawing, inpainting, relighting, and the placebos that several share.

A file that serves one artifact begins with its name: ring_edits, ink_strokes, text_drawing.
"""
