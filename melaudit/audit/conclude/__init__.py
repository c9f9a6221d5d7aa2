"""From measurements to the findings document."""
