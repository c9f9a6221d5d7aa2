"""LRP and CRP for any torch image model."""
