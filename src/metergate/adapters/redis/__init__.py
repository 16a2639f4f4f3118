"""The fast view on Redis."""
