"""melaudit inside other people's tests and trainings; each module is imported by its own users."""
