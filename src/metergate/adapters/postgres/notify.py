"""Other processes hear of changed definitions with the commit that changed them."""

from __future__ import annotations

import json

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL = "metergate_definitions"


async def notify(connection: AsyncConnection, kind: str, tenant: str, name: str = "") -> None:
    """Tells all processes, once this transaction commits, that a definition changed.

    `kind` is "catalog", "customer", "subjects" (some left that customer) or "key"; `name` the customer or key.
    """
    payload = json.dumps({"kind": kind, "tenant": tenant, "name": name})
    await connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload})
