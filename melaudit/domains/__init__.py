"""Domains: what is known beforehand of the pictures of one field, and its words."""

from melaudit.domains.interface import Domain, dressed
from melaudit.domains.registry import domain, domains

__all__ = ["Domain", "domain", "domains", "dressed"]
