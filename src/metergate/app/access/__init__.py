"""Verbs on who may call."""
