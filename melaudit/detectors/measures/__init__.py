"""What detectors measure on images, maps and columns."""
