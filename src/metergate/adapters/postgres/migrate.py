"""Brings a database to the newest schema, and says where it stands."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from metergate.adapters.postgres.connect import DIALECT, opener
from metergate.adapters.postgres.partitions import ensure_partitions

# Any number: it keeps two servers that start together from migrating at once.
_LOCK = 7_400_7401


def upgrade(postgres_url: str) -> None:
    """Runs all migrations that the database lacks and makes its partitions. Safe to run from several processes."""
    asyncio.run(upgrade_async(postgres_url))


async def upgrade_async(postgres_url: str) -> None:
    """The same, inside a running loop."""
    async with _Connection(postgres_url) as connection:
        await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        await connection.commit()
        try:
            await connection.run_sync(_upgrade)
            await connection.commit()
            await ensure_partitions(connection)
            await connection.commit()
        finally:
            await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})


async def revisions(postgres_url: str) -> tuple[str | None, str | None]:
    """The schema's revision and the newest one."""
    async with _Connection(postgres_url) as connection:
        current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    return current, ScriptDirectory.from_config(_config()).get_current_head()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


class _Connection:
    """One connection of its own, closed with its engine."""

    def __init__(self, postgres_url: str) -> None:
        self._engine = create_async_engine(DIALECT, async_creator=opener(postgres_url), poolclass=NullPool)
        self._connection: AsyncConnection | None = None

    async def __aenter__(self) -> AsyncConnection:
        self._connection = await self._engine.connect()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await self._connection.close()
        await self._engine.dispose()
