"""Tenants of a test's own."""

from __future__ import annotations

import secrets

from metergate import wiring
from metergate.settings import Settings
from tests.chaos.client import Client
from tests.server import ServerProcess


async def new_tenant(postgres_url: str) -> tuple[str, str]:
    """A tenant of the test's own and a key for it."""
    tenant = f"t-{secrets.token_hex(4)}"
    return tenant, await wiring.create_key(Settings(postgres_url=postgres_url), tenant, "chaos")


async def ready_client(process: ServerProcess, postgres_url: str) -> tuple[str, Client]:
    """A new tenant with the one meter, and a client for it."""
    tenant, key = await new_tenant(postgres_url)
    client = Client(process.grpc_url, key)
    await client.have_meter()
    return tenant, client
