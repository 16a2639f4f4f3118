"""Turns of subscriptions in PostgreSQL: many customers in one transaction, each by one of many processes.

A head that is held is left out and asked for again; who waits for one waits for it alone, as commits do.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.adapters.postgres.subscriptions import COLUMNS, to_subscription
from metergate.app.billing.ports import Due, Turned, TurningChange
from metergate.domain.subscription import Subscription

# The sub-select makes one instant of the clock, by which the index can be searched.
_LOCK = """
SELECT h.tenant, h.customer FROM subscription s JOIN customer_head h ON h.tenant = s.tenant AND h.customer = s.customer
WHERE s.turns_at <= (SELECT clock_timestamp()) ORDER BY s.turns_at LIMIT $1 FOR UPDATE OF h"""
# In statements of their own, which see what others did before the locks were free.
_HEADS = """
SELECT h.tenant, h.customer, h.plan, h.anchor_at, clock_timestamp()
FROM customer_head h JOIN unnest($1::text[], $2::text[]) AS q(tenant, customer) USING (tenant, customer)
WHERE EXISTS (SELECT FROM subscription s
    WHERE s.tenant = h.tenant AND s.customer = h.customer AND s.turns_at <= clock_timestamp())
ORDER BY h.tenant, h.customer"""
_SUBSCRIPTIONS = f"""
SELECT tenant, {COLUMNS} FROM subscription JOIN unnest($1::text[], $2::text[]) AS q(tenant, customer)
    USING (tenant, customer)
ORDER BY created_at, id"""
_GOVERN = """
UPDATE customer_head h SET seq = seq + 1, plan = q.plan, anchor_at = q.anchor_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS q(tenant, customer, plan, anchor_at)
WHERE h.tenant = q.tenant AND h.customer = q.customer
    AND (h.plan, h.anchor_at) IS DISTINCT FROM (q.plan, q.anchor_at)
RETURNING h.tenant, h.customer, h.seq"""
_TURN = """
UPDATE subscription s SET turns_at = q.turns_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS q(tenant, id, turns_at)
WHERE s.tenant = q.tenant AND s.id = q.id AND s.turns_at IS DISTINCT FROM q.turns_at"""


class PostgresTurning:
    """`app.billing.ports.TurningStore` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def turning(self, most: int, wait: bool) -> AbstractAsyncContextManager[TurningChange]:
        """See `app.billing.ports.TurningStore`."""
        return self._turning(most, wait)

    @asynccontextmanager
    async def _turning(self, most: int, wait: bool) -> AsyncGenerator[PostgresTurningChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                raw = await driver(connection)
                rows = await raw.fetch(_LOCK if wait else f"{_LOCK} SKIP LOCKED", most)
                yield PostgresTurningChange(connection, raw, sorted({(row[0], row[1]) for row in rows}))


class PostgresTurningChange:
    """See `app.billing.ports.TurningChange`."""

    def __init__(self, connection: AsyncConnection, raw: Any, locked: Sequence[tuple[str, str]]) -> None:
        self._connection = connection
        self._raw = raw
        self._locked = locked

    async def due(self) -> tuple[int, list[Due]]:
        """See `app.billing.ports.TurningChange`."""
        if not self._locked:
            return 0, []
        places = [[place[0] for place in self._locked], [place[1] for place in self._locked]]
        heads = [tuple(row) for row in await self._raw.fetch(_HEADS, *places)]
        of: dict[tuple[str, str], list[Subscription]] = {(tenant, customer): [] for tenant, customer, *_ in heads}
        for tenant, *row in await self._raw.fetch(_SUBSCRIPTIONS, *places):
            one = to_subscription(row)
            of.get((tenant, one.customer), []).append(one)
        now = max([row[-1] for row in heads], default=0)
        return now, [
            Due(tenant, customer, plan, anchor, of[tenant, customer]) for tenant, customer, plan, anchor, _ in heads
        ]

    async def turn(self, turned: Sequence[Turned]) -> dict[tuple[str, str], int]:
        """See `app.billing.ports.TurningChange`."""
        governing = [list(column) for column in zip(*[one[:4] for one in turned], strict=True)]
        turns = [(one.tenant, id_, at) for one in turned for id_, at in sorted(one.turns.items())]
        rows = await self._raw.fetch(_GOVERN, *governing)
        await self._raw.execute(_TURN, *[list(column) for column in zip(*turns, strict=True)])
        for tenant, customer, _ in rows:
            await notify(self._connection, "customer", tenant, customer)
        return {(tenant, customer): seq for tenant, customer, seq in rows}
