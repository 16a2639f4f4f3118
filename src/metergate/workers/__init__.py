"""Loops that call verbs."""
