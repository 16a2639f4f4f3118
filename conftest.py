"""The fixtures of tests/, here because the clients' tests use them as well."""

pytest_plugins = ["tests.alone", "tests.fixtures", "tests.server"]
