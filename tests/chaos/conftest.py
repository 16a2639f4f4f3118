"""What the chaos tests share: servers, databases and keys that one test may kill without another one noticing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.embedded.redis import EmbeddedRedis
from tests.server import ServerProcess, free_port

StartServer = Callable[[str, str], Awaitable[ServerProcess]]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers (Postgres URL, Redis URL); those that live at the test's end are killed, stopped ones too."""
    started: list[ServerProcess] = []

    async def start(postgres_url: str, redis_url: str) -> ServerProcess:
        home = tmp_path / f"server{len(started)}"
        home.mkdir()
        process = ServerProcess(postgres_url, redis_url, home)
        started.append(process)
        await asyncio.to_thread(process.start)
        return process

    yield start
    for process in started:
        process.kill()


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
