"""The HTTP face: Connect/JSON, health and metrics."""
