"""What the ledger itself says, asked of Postgres and not of a server."""

from __future__ import annotations

from typing import Any

import asyncpg

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.reconcile import Reconciler


class Ledger:
    """Asks over a new connection each time: the old one may have been killed."""

    def __init__(self, postgres_url: str) -> None:
        self.url = postgres_url

    async def fetch(self, statement: str, *parameters: Any) -> list[Any]:
        """The rows."""
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *parameters)]
        finally:
            await connection.close()

    async def differences(self) -> list[str]:
        """What the reconciler finds: nothing when counters = rollups = events = ids.

        Without statistics of tables that were empty a moment ago, it would take seconds.
        """
        await self.fetch("ANALYZE")
        engine = connect.engine(self.url, 1)
        try:
            return await Reconciler(engine).differences()
        finally:
            await engine.dispose()

    async def ids(self, tenant: str) -> list[str]:
        """The ids of all events, sorted; one that counted twice stands here twice."""
        rows = await self.fetch('SELECT id FROM usage_event WHERE tenant = $1 ORDER BY id COLLATE "C"', tenant)
        return [id for (id,) in rows]

    async def used(self, tenant: str) -> dict[str, int]:
        """The sum of the events by customer."""
        rows = await self.fetch(
            "SELECT customer, sum(coalesce(amount, 1))::bigint FROM usage_event WHERE tenant = $1 GROUP BY 1", tenant
        )
        return dict(rows)

    async def counters(self, tenant: str) -> dict[str, int]:
        """What the counters hold by customer, where each has one window."""
        rows = await self.fetch(
            "SELECT customer, sum(used)::bigint FROM usage_counter WHERE tenant = $1 GROUP BY 1", tenant
        )
        return dict(rows)

    async def deadlocks(self) -> int:
        """How many deadlocks Postgres has broken in this database."""
        ((count,),) = await self.fetch("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(count)
