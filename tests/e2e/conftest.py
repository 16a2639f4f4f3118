"""Callers of the shared servers, each with a tenant of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.e2e.calls import Caller, caller
from tests.server import Server


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Caller]:
    """Calls the server in the dev environment."""
    async with caller(server.grpc_url, server.key) as calling:
        yield calling


@pytest.fixture
async def production(production_server: Server) -> AsyncIterator[Caller]:
    """Calls the server in production, where nothing is made on first use."""
    async with caller(production_server.grpc_url, production_server.key) as calling:
        yield calling
