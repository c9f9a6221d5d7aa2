"""LRP and CRP for any torch image model."""

from melaudit.relevance.explainer import Explainer
from melaudit.relevance.interface import Attribution, Engine

__all__ = ["Attribution", "Engine", "Explainer"]
