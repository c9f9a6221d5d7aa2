"""A detector for melaudit: stamp."""

from melaudit_stamp.detector import StampDetector

__all__ = ["StampDetector"]
