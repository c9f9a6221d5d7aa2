"""The report's templates and styles."""
