"""What the integration tests share: processes over a database and a Redis of the test's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.integration.processes import Process, Start, process
from tests.integration.views import View


@pytest.fixture
async def start(postgres_url: str, redis_url: str) -> AsyncGenerator[Start]:
    """Starts further processes on the same database and Redis; they end with the test."""
    async with AsyncExitStack() as stack:

        async def begin(**options: Any) -> Process:
            return await stack.enter_async_context(process(postgres_url, options.pop("redis", redis_url), **options))

        yield begin


@pytest.fixture
async def one(start: Start) -> Process:
    """A process, in dev: subjects become customers on first use."""
    return await start()


@pytest.fixture
async def view(redis_url: str) -> AsyncGenerator[View]:
    made = View(redis_url)
    await made.view.start()
    made.view.trust()
    yield made
    await made.view.stop()
