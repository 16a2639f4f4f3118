"""The only rooms that know a driver. They never import each other; only wiring and the command line build them."""
