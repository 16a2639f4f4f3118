"""Moves of subjects and merges of customers in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy import or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres.customers import PostgresCustomerChange
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.app.customer.data import Moved, MovesQuery, MovingChange
from metergate.domain.posting import NOBODY

_m = schema.subject_moves.c
_COLUMNS = (
    _m.subject, _m.from_customer, _m.from_seq, _m.to_customer, _m.to_seq, _m.moved_at, _m.merged, _m.service, _m.key_id,
)  # fmt: skip

_IS_POOL = "SELECT customer, is_pool FROM customer_head WHERE tenant = $1 AND customer = ANY($2::text[])"

# Under both heads. The flag has each later commit look whose the works' subjects are.
_MARK = """
UPDATE customer_head SET seq = seq + 1, moved = true WHERE tenant = $1 AND customer = ANY($2::text[])
RETURNING customer, seq"""
_MOVE_ONE = "UPDATE subject SET customer = $3 WHERE tenant = $1 AND subject = $2 RETURNING subject"
_MOVE_ALL = """
WITH own AS (
    INSERT INTO subject (tenant, subject, customer) VALUES ($1, $2, $3)
    ON CONFLICT (tenant, subject) DO UPDATE SET customer = excluded.customer RETURNING subject
), others AS (
    UPDATE subject SET customer = $3 WHERE tenant = $1 AND customer = $2 AND subject <> $2 RETURNING subject
), closed AS (
    UPDATE customer SET merged_into = $3 WHERE tenant = $1 AND customer = $2
)
SELECT subject FROM own UNION ALL SELECT subject FROM others"""
_NOTE = """
INSERT INTO subject_move (tenant, subject, from_customer, from_seq, to_customer, to_seq, moved_at, merged, service,
    key_id)
SELECT $1, s.subject, $3, $4, $5, $6, clock_timestamp(), $7, $8, $9 FROM unnest($2::text[]) AS s(subject)
RETURNING subject, from_customer, from_seq, to_customer, to_seq, moved_at, merged, service, key_id"""

_WHY_NO_MERGE = """
SELECT CASE
    WHEN EXISTS (SELECT FROM customer_head WHERE tenant = $1 AND pool = $2)
        THEN 'other customers share it as their pool: have them leave it, or share the other one (AssignPool)'
    WHEN EXISTS (SELECT FROM usage_grant WHERE tenant = $1 AND customer = $2 AND state IN ('pending', 'active'))
        THEN 'it has grants that are not over: give the other one what is left (CreateGrant) and void them (VoidGrant)'
    WHEN EXISTS (SELECT FROM customer_erasure WHERE tenant = $1 AND customer = $2 AND finished_at IS NULL)
        THEN 'its personal data are being erased: try again when that is done'
    WHEN EXISTS (SELECT FROM subscription WHERE tenant = $1 AND customer = $2
            AND coalesce((segments -> -1 ->> 'end')::bigint > extract(epoch FROM clock_timestamp()) * 1000000, true))
        THEN 'it has a subscription that is not over: cancel it (CancelSubscription)'
END"""


class PostgresMoves:
    """`app.customer.data.Moves` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def change(self, tenant: str) -> AbstractAsyncContextManager[MovingChange]:
        """A transaction that holds the tenant's waiting room, so that no two move subjects at once."""
        return self._change(tenant)

    @asynccontextmanager
    async def _change(self, tenant: str) -> AsyncGenerator[PostgresMovingChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                change = PostgresMovingChange(connection, tenant)
                await change.lock(NOBODY)
                yield change

    async def moves(self, tenant: str, query: MovesQuery) -> list[Moved]:
        """See `app.customer.data.Moves`."""
        page = select(*_COLUMNS).where(_m.tenant == tenant)
        if query.customer:
            page = page.where(or_(_m.from_customer == query.customer, _m.to_customer == query.customer))
        if query.subject:
            page = page.where(_m.subject == query.subject)
        place = tuple_(_m.moved_at, _m.from_customer, _m.from_seq, _m.subject)
        if query.after is not None:
            page = page.where(place < tuple_(*query.after))
        order = (_m.moved_at.desc(), _m.from_customer.desc(), _m.from_seq.desc(), _m.subject.desc())
        with engine_errors():
            async with self._engine.connect() as connection:
                return [Moved(*row) for row in await connection.execute(page.order_by(*order).limit(query.most))]


class PostgresMovingChange(PostgresCustomerChange):
    """See `app.customer.data.MovingChange`."""

    async def lock_both(self, old: str, new: str) -> None:
        """See `app.customer.data.MovingChange`."""
        rows = await (await driver(self._connection)).fetch(_IS_POOL, self._tenant, [old, new])
        pools = {row[0] for row in rows if row[1]}
        for name in sorted({old, new}, key=lambda one: (one in pools, one)):  # as commits do: pools come last
            await self.lock(name)

    async def owner(self, subject: str) -> str | None:
        """See `app.customer.data.MovingChange`."""
        return (await self.owners([subject])).get(subject)

    async def move(self, subject: str, old: str, new: str, service: str, key_id: str) -> Moved:
        """See `app.customer.data.MovingChange`."""
        connection = await driver(self._connection)
        await connection.execute(_MOVE_ONE, self._tenant, subject, new)
        (moved,) = await self._note(connection, [subject], old, new, False, service, key_id)
        return moved

    async def merge(self, old: str, into: str, service: str, key_id: str) -> Sequence[Moved]:
        """See `app.customer.data.MovingChange`."""
        connection = await driver(self._connection)
        subjects = sorted(row[0] for row in await connection.fetch(_MOVE_ALL, self._tenant, old, into))
        return await self._note(connection, subjects, old, into, True, service, key_id)

    async def why_no_merge(self, old: str) -> str | None:
        """See `app.customer.data.MovingChange`."""
        why: str | None = await (await driver(self._connection)).fetchval(_WHY_NO_MERGE, self._tenant, old)
        return why

    async def _note(
        self, connection: Any, subjects: Sequence[str], old: str, new: str, merged: bool, service: str, key_id: str
    ) -> list[Moved]:
        seqs = {row[0]: row[1] for row in await connection.fetch(_MARK, self._tenant, [old, new])}
        places = (old, seqs[old], new, seqs[new])
        rows = await connection.fetch(_NOTE, self._tenant, subjects, *places, merged, service, key_id)
        await notify(self._connection, "subjects", self._tenant, old)
        for name in (old, new):
            await notify(self._connection, "customer", self._tenant, name)
        return [Moved(*row) for row in rows]
