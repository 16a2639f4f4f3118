"""Tenants, API keys and the installation's own secret in PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.app.stores import StoredKey
from metergate.domain.access import ApiKey
from metergate.domain.posting import NOBODY

_keys = schema.api_keys.c
_COLUMNS = (
    _keys.key_id, _keys.tenant, _keys.service, _keys.secret_hash, _keys.created_at, _keys.expires_at, _keys.revoked_at,
)  # fmt: skip


class PostgresKeys:
    """`app.stores.Keys` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, key_id: str) -> StoredKey | None:
        """The key of that id, revoked or not."""
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await connection.execute(select(*_COLUMNS).where(_keys.key_id == key_id))
                return next((_stored(row) for row in rows), None)

    async def list(self, tenant: str) -> list[StoredKey]:
        """A tenant's keys, oldest first."""
        with engine_errors():
            async with self._engine.connect() as connection:
                mine = select(*_COLUMNS).where(_keys.tenant == tenant).order_by(_keys.created_at, _keys.key_id)
                return [_stored(row) for row in await connection.execute(mine)]

    async def add(self, tenant: str, service: str, key: ApiKey) -> None:
        """Keeps a new key; the tenant and its waiting room are made when there are none."""
        row = {"key_id": key.id, "tenant": tenant, "service": service, "secret_hash": key.secret_hash}
        with engine_errors():
            async with self._engine.begin() as connection:
                await connection.execute(insert(schema.tenants).on_conflict_do_nothing(), {"tenant": tenant})
                waiting_room = {"tenant": tenant, "customer": NOBODY}
                await connection.execute(insert(schema.heads).on_conflict_do_nothing(), waiting_room)
                await connection.execute(insert(schema.api_keys), row)

    async def revoke(self, key_id: str) -> bool:
        """Ends a key at once; False when there is none of that id."""
        with engine_errors():
            async with self._engine.begin() as connection:
                mine = update(schema.api_keys).where(_keys.key_id == key_id, _keys.revoked_at.is_(None))
                tenants = list(await connection.execute(mine.values(revoked_at=func.now()).returning(_keys.tenant)))
                for (tenant,) in tenants:
                    await notify(connection, "key", tenant, key_id)
                known = await connection.scalar(select(func.count()).where(_keys.key_id == key_id))
                return bool(known)

    async def secret(self) -> bytes:
        """The installation's secret, which signs tokens."""
        with engine_errors():
            async with self._engine.connect() as connection:
                secret: bytes = (await connection.execute(text("SELECT secret FROM installation"))).scalar_one()
                return secret

    async def identity(self) -> str:
        """Which ledger this is: system id, timeline, database and generation. A restored one differs."""
        parts = text(
            "SELECT s.system_identifier, c.timeline_id, d.oid, i.generation "
            "FROM pg_control_system() s, pg_control_checkpoint() c, installation i, pg_database d "
            "WHERE d.datname = current_database()"
        )
        with engine_errors():
            async with self._engine.connect() as connection:
                return "/".join(str(part) for part in (await connection.execute(parts)).one())


def _stored(row: Any) -> StoredKey:
    return StoredKey(*row)
