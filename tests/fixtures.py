"""What the tests share: a real PostgreSQL and a real Redis, a fresh migrated database for each test, and the seed.

METERGATE_TEST_POSTGRES and METERGATE_TEST_REDIS name servers to use; without them each test process (one per xdist
worker) starts its own from the wheels. METERGATE_TEST_SEED repeats a run's random choices.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.embedded.redis import EmbeddedRedis
from tests.databases import Databases, elsewhere

REDIS_DATABASES = 512

# Deadlines measure a busy machine, not the code; the blob repeats a failure.
settings.register_profile("metergate", deadline=None, print_blob=True)
settings.load_profile("metergate")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before hypothesis looks for it; xdist hands the controller's choice to its workers."""
    if config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = os.environ.get("METERGATE_TEST_SEED") or str(secrets.randbelow(2**32))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay on one worker, and so do all that kill and hold servers: together they would starve.
    xdist reads the marks in its own hook of this name: ours has to come before it."""
    for item in items:
        chaos = "chaos" in item.path.parts
        item.add_marker(pytest.mark.xdist_group("chaos" if chaos else str(item.path)))


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this run."""
    return f"seed: {config.getoption('hypothesis_seed')} (repeat with METERGATE_TEST_SEED)"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """A random generator of the test's own, the same again under the same seed."""
    name = request.node.nodeid.partition("@")[0]  # without the group that xdist adds
    return random.Random(f"{request.config.getoption('hypothesis_seed')}/{name}")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a database on a server where we may create others."""
    if named := os.environ.get("METERGATE_TEST_POSTGRES"):
        yield named
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("pg")) as server:
        yield server.url


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Iterator[Databases]:
    """Makes and drops databases that are copies of one migrated template."""
    from metergate.adapters.postgres import migrate

    made = Databases(postgres_server)
    elsewhere(lambda: migrate.upgrade(made.create_template()))
    yield made
    made.drop_all()


@pytest.fixture
def postgres_url(databases: Databases) -> Iterator[str]:
    """A fresh, migrated database of the test's own."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis whose databases are ours to flush."""
    if named := os.environ.get("METERGATE_TEST_REDIS"):
        yield named
        return
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), databases=REDIS_DATABASES) as server:
        yield server.url


@pytest.fixture(scope="session")
def _redis_database(redis_server: str) -> Callable[[], str]:
    """Gives the URL of the next logical database, round robin; xdist workers on one named server keep apart."""
    with redis.Redis.from_url(redis_server) as client:
        count = int(client.config_get("databases")["databases"])
    shared = "METERGATE_TEST_REDIS" in os.environ
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) if shared else 0
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) if shared else 1
    numbers = itertools.cycle(range(worker % count, count, workers))
    unix = redis_server.startswith("unix:")
    base = redis_server.partition("?")[0] if unix else redis_server.rpartition("/")[0]
    return lambda: f"{base}?db={next(numbers)}" if unix else f"{base}/{next(numbers)}"


@pytest.fixture
def redis_url(_redis_database: Callable[[], str]) -> Iterator[str]:
    """An empty logical database of the test's own."""
    url = _redis_database()
    _flush(url)
    yield url
    _flush(url)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A place for embedded servers of the test's own, not yet made."""
    return tmp_path / "data"


def _flush(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushdb()
