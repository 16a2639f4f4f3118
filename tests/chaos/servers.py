"""Servers of a test's own, to be stopped and killed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server import ServerProcess

StartServer = Callable[[str, str], Awaitable[ServerProcess]]


@contextmanager
def servers_in(folder: Path) -> Iterator[StartServer]:
    """Starts servers (Postgres URL, Redis URL); those that live at the end are killed, stopped ones too."""
    started: list[ServerProcess] = []

    async def start(postgres_url: str, redis_url: str) -> ServerProcess:
        home = folder / f"server{len(started)}"
        home.mkdir()
        process = ServerProcess(postgres_url, redis_url, home)
        started.append(process)
        await asyncio.to_thread(process.start)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
