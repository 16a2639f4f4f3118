"""Verbs on the catalog."""
