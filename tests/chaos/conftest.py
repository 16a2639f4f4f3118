"""What the chaos tests share: servers and databases that one test may kill without another one noticing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.embedded.redis import EmbeddedRedis
from tests.chaos.servers import StartServer, servers_in
from tests.server import free_port


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """See `servers_in`."""
    with servers_in(tmp_path) as start:
        yield start


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres to be killed, running, on a port of its own."""
    server = EmbeddedPostgres(tmp_path / "pg", port=free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis to be killed, running, on a port of its own."""
    server = EmbeddedRedis(tmp_path / "redis", port=free_port())
    server.start()
    yield server
    if server.pid is not None:
        os.kill(server.pid, signal.SIGCONT)
    server.stop()
