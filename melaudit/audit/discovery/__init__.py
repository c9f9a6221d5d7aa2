"""Artifacts that an audit finds in its own images, without anybody naming them before."""
