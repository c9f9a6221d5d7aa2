"""What finders are made of: measurements, and searches too long for the artifact's own file.

A file that serves one artifact begins with its name: ruler_ticks, hair_lines, bubble_specks.
"""
