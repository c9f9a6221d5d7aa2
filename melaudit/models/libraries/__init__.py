"""Libraries that define image classifiers: those that build by name, and those with own formats."""
