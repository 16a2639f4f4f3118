"""Verbs on quota."""
