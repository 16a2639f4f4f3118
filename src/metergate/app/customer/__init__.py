"""Verbs on customers and subjects."""
