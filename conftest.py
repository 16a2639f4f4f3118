"""The fixtures of tests/fixtures.py, here because the clients' tests use them as well."""

pytest_plugins = ["tests.fixtures"]
