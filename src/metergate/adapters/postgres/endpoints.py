"""Webhook endpoints in PostgreSQL. Commits go by the catalog's version, so each change of them raises it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.adapters.postgres.once import PostgresOnce
from metergate.app.notify.ports import Endpoint, EndpointChange

_COLUMNS = "endpoint, url, kinds, description, enabled, disabled_reason, created_at, previous_until"
_LIST = f"SELECT {_COLUMNS} FROM webhook_endpoint WHERE tenant = $1 ORDER BY created_at, endpoint"
_ADD = f"""
WITH clock AS (SELECT clock_timestamp() AS now)
INSERT INTO webhook_endpoint (tenant, endpoint, url, kinds, description, enabled, disabled_reason, secret, since,
    created_at)
SELECT $1, $2, $3, $4::text[], $5, $6, '', $7, array_fill(clock.now, ARRAY[cardinality($4::text[])]), clock.now
FROM clock
RETURNING {_COLUMNS}"""
# Kinds that it had keep their moment; the others, and all of one that is turned on, begin now.
_REPLACE = f"""
UPDATE webhook_endpoint SET url = $3, kinds = $4, description = $5, enabled = $6, disabled_reason = $7,
    since = ARRAY(
        SELECT CASE WHEN enabled THEN coalesce(since[array_position(kinds, kind)], now) ELSE now END
        FROM unnest($4::text[]) WITH ORDINALITY AS new(kind, number), (SELECT clock_timestamp() AS now) clock
        ORDER BY number
    )
WHERE tenant = $1 AND endpoint = $2
RETURNING {_COLUMNS}"""
# In the order in which deliveries lock: queues, then what was begun.
_STOP_QUEUES = """
UPDATE webhook_queue SET next_at = NULL, claimed = false, claim = claim + 1 WHERE tenant = $1 AND endpoint = $2"""
_GIVE_UP = """
UPDATE webhook_delivery SET state = 'dead', error = 'the endpoint was turned off'
WHERE tenant = $1 AND endpoint = $2 AND state = 'pending'"""
_ROTATE = f"""
UPDATE webhook_endpoint SET secret = $3, previous_secret = secret,
    previous_until = clock_timestamp() + $4 * interval '1 microsecond'
WHERE tenant = $1 AND endpoint = $2
RETURNING {_COLUMNS}"""
_DELETE = (
    "DELETE FROM webhook_queue WHERE tenant = $1 AND endpoint = $2",
    "DELETE FROM webhook_delivery WHERE tenant = $1 AND endpoint = $2",
    "DELETE FROM webhook_endpoint WHERE tenant = $1 AND endpoint = $2",
)
_SECRETS = """
SELECT secret, CASE WHEN previous_until > clock_timestamp() THEN previous_secret END
FROM webhook_endpoint WHERE tenant = $1 AND endpoint = $2"""


class PostgresEndpoints:
    """`app.notify.ports.Endpoints` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def list(self, tenant: str) -> list[Endpoint]:
        """See `app.notify.ports.Endpoints`."""
        with engine_errors():
            async with self._engine.connect() as connection:
                return [_to_endpoint(row) for row in await (await driver(connection)).fetch(_LIST, tenant)]

    async def secrets(self, tenant: str, id: str) -> Sequence[str]:
        """See `app.notify.ports.Endpoints`."""
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await (await driver(connection)).fetch(_SECRETS, tenant, id)
        return [secret for row in rows for secret in row if secret]

    def change(self, tenant: str) -> AbstractAsyncContextManager[EndpointChange]:
        """See `app.notify.ports.Endpoints`."""
        return self._change(tenant)

    @asynccontextmanager
    async def _change(self, tenant: str) -> AsyncGenerator[PostgresEndpointChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                where = schema.tenants.c.tenant == tenant
                await connection.execute(select(schema.tenants.c.tenant).where(where).with_for_update())
                yield PostgresEndpointChange(connection, tenant)


class PostgresEndpointChange(PostgresOnce):
    """See `app.notify.ports.EndpointChange`."""

    async def all(self) -> list[Endpoint]:
        """See `app.notify.ports.EndpointChange`."""
        return [_to_endpoint(row) for row in await (await driver(self._connection)).fetch(_LIST, self._tenant)]

    async def add(self, endpoint: Endpoint, secret: str) -> Endpoint:
        """See `app.notify.ports.EndpointChange`."""
        await self._tell()
        one = endpoint
        values = (one.id, one.url, list(one.kinds), one.description, one.enabled, secret)
        return _to_endpoint(await (await driver(self._connection)).fetchrow(_ADD, self._tenant, *values))

    async def replace(self, endpoint: Endpoint) -> Endpoint:
        """See `app.notify.ports.EndpointChange`."""
        await self._tell()
        one, connection = endpoint, await driver(self._connection)
        values = (one.id, one.url, list(one.kinds), one.description, one.enabled, one.disabled_reason)
        replaced = _to_endpoint(await connection.fetchrow(_REPLACE, self._tenant, *values))
        if not one.enabled:
            for statement in (_STOP_QUEUES, _GIVE_UP):
                await connection.execute(statement, self._tenant, one.id)
        return replaced

    async def rotate(self, id: str, secret: str, overlap: int) -> Endpoint:
        """See `app.notify.ports.EndpointChange`."""
        return _to_endpoint(await (await driver(self._connection)).fetchrow(_ROTATE, self._tenant, id, secret, overlap))

    async def delete(self, id: str) -> None:
        """See `app.notify.ports.EndpointChange`."""
        await self._tell()
        for statement in _DELETE:
            await (await driver(self._connection)).execute(statement, self._tenant, id)

    async def _tell(self) -> None:
        """Commits of all processes go by the endpoints as they are from now on."""
        tenants = schema.tenants
        raised = update(tenants).where(tenants.c.tenant == self._tenant)
        await self._connection.execute(raised.values(catalog_version=tenants.c.catalog_version + 1))
        await notify(self._connection, "catalog", self._tenant)


def _to_endpoint(row: Any) -> Endpoint:
    id_, url, kinds, *others = row
    return Endpoint(id_, url, tuple(kinds), *others)
