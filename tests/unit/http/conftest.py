"""An HTTP server over the example methods, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.unit.http.example import Example


@pytest.fixture(scope="session")
async def _running() -> AsyncIterator[Example]:
    running = Example()
    running.url = f"http://{await running.server.start('127.0.0.1:0')}"
    yield running
    await running.server.stop(1)


@pytest.fixture
def example(_running: Example) -> Example:
    """A server that runs, as new."""
    _running.reset()
    return _running


@pytest.fixture
async def client(example: Example) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the example."""
    async with httpx.AsyncClient(base_url=example.url, trust_env=False) as client:
        yield client
