"""Customers and their subjects in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy import Select, Text, and_, cast, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import schema
from metergate.adapters.postgres import statements as sql
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.holds import literal
from metergate.adapters.postgres.notify import notify
from metergate.adapters.postgres.once import PostgresOnce
from metergate.adapters.postgres.overrides import read_overrides, write_overrides
from metergate.app.stores import Customer, CustomerChange, Subject
from metergate.domain.posting import NOBODY

_customers, _heads, _subjects = schema.customers.c, schema.heads.c, schema.subjects.c

# Waiting events move out of the waiting room: the one change that an event row ever sees, and once.
# `recorded_at` stays: when they came to their customer, whose `seq` they bear now, is told by `usage_adoption`.
_ADOPT = """
WITH q AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::bigint[]) AS q(subject, customer, seq)
), moved AS (
    UPDATE usage_event e SET customer = q.customer, seq = q.seq FROM q
    WHERE e.tenant = $1 AND e.customer = '' AND e.subject = q.subject
    RETURNING e.source, e.id, q.customer, q.seq, coalesce(e.version, 1) AS version, e.sign, e.recorded_at,
        e.counted_at
), adopted AS (
    INSERT INTO usage_adoption (tenant, customer, seq, adopted_at, first_at, last_at)
    SELECT $1, customer, seq, statement_timestamp(), min(recorded_at), max(recorded_at) FROM moved
    GROUP BY customer, seq
), ids AS (
    UPDATE usage_id i SET customer = m.customer, seq = m.seq FROM moved m
    WHERE i.tenant = $1 AND i.source = m.source AND i.id = m.id AND m.version = 1 AND m.sign IS NULL
), corrected AS (
    UPDATE usage_version v SET customer = coalesce(put.customer, v.customer), seq = coalesce(put.seq, v.seq),
        from_customer = coalesce(took.customer, v.from_customer), from_seq = coalesce(took.seq, v.from_seq)
    FROM (SELECT DISTINCT source, id FROM moved) q
    JOIN usage_version c ON c.tenant = $1 AND c.source = q.source AND c.id = q.id
    LEFT JOIN moved put ON put.source = c.source AND put.id = c.id AND put.version = c.content AND put.sign IS NULL
    LEFT JOIN moved took ON took.source = c.source AND took.id = c.id AND took.version = c.version - 1
        AND took.sign < 0
    WHERE v.tenant = $1 AND v.source = c.source AND v.id = c.id AND v.version = c.version
)
SELECT customer, count(*), min(counted_at) FROM moved GROUP BY customer"""

# What they add up to is made anew: `metering_version` 0 says that the rollups are not complete. Where they count in a
# period that was invoiced, they come late.
_MARK_ADOPTED = """
UPDATE customer_head h SET seq = seq + 1, metering_version = 0,
    late_from = CASE WHEN q.first_at < h.billed_until THEN least(h.late_from, q.first_at) ELSE h.late_from END,
    late_seq = CASE WHEN q.first_at < h.billed_until THEN h.seq + 1 ELSE h.late_seq END
FROM unnest($2::text[], $3::timestamptz[]) AS q(customer, first_at)
WHERE h.tenant = $1 AND h.customer = q.customer"""


# Once a pool, always one: its history counts for it.
_WHY_NO_POOL = """
SELECT CASE
    WHEN $2 = $3 THEN 'a customer is not its own pool'
    WHEN EXISTS (SELECT FROM customer_head WHERE tenant = $1 AND customer = $2 AND is_pool AND $3 <> '')
        THEN 'it is a pool itself'
    WHEN EXISTS (SELECT FROM customer_head WHERE tenant = $1 AND customer = $3 AND pool <> '')
        THEN 'that one is in a pool'
    WHEN EXISTS (
        SELECT FROM hold WHERE tenant = $1 AND customer = $2 AND reserved + leased + forfeited > 0
    ) THEN 'it holds capacity of reservations or leases'
END"""


# Instants within its time line are numbers, microseconds since 1970.
_SUBSCRIBED = """
SELECT id FROM subscription s, (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) clock
WHERE tenant = $1 AND customer = $2 AND (segments -> 0 ->> 'start')::bigint <= now
    AND coalesce((segments -> -1 ->> 'end')::bigint > now, true)
ORDER BY created_at, id LIMIT 1"""


class PostgresCustomers:
    """`app.stores.Customers` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def owners(self, tenant: str, subjects: Sequence[str]) -> dict[str, Customer]:
        """The customers of the subjects that are known."""
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await (await driver(connection)).fetch(sql.OWNING_CUSTOMERS, tenant, subjects)
                return {row[0]: _to_customer(row[1:]) for row in map(tuple, rows)}

    async def get(self, tenant: str, customer: str) -> Customer | None:
        """One customer, or None."""
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await connection.execute(_select(tenant).where(_customers.customer == customer))
                return next((_to_customer(row) for row in rows), None)

    async def list(self, tenant: str, after: str, most: int) -> list[Customer]:
        """Customers by id, from behind `after`."""
        with engine_errors():
            async with self._engine.connect() as connection:
                page = _select(tenant).where(_customers.customer > after).order_by(_customers.customer).limit(most)
                return [_to_customer(row) for row in await connection.execute(page)]

    async def subjects(self, tenant: str, customer: str, after: str, most: int) -> Sequence[Subject]:
        """A customer's subjects by id, from behind `after`; its own id is one."""
        own = select(_customers.customer.label("subject"), _customers.customer, _customers.created_at).where(
            _customers.tenant == tenant, _customers.customer == customer, _customers.merged_into == ""
        )
        made = select(_subjects.subject, _subjects.customer, _subjects.created_at).where(
            _subjects.tenant == tenant, _subjects.customer == customer, _subjects.subject != customer
        )
        both = own.union_all(made).subquery()
        page = select(both).where(both.c.subject > after).order_by(both.c.subject).limit(most)
        with engine_errors():
            async with self._engine.connect() as connection:
                return [Subject(*row) for row in await connection.execute(page)]

    def change(self, tenant: str) -> AbstractAsyncContextManager[CustomerChange]:
        """A transaction that holds the tenant's waiting room, so that no event slips by unseen."""
        return self._change(tenant)

    @asynccontextmanager
    async def _change(self, tenant: str) -> AsyncGenerator[PostgresCustomerChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                change = PostgresCustomerChange(connection, tenant)
                await change.lock(NOBODY)
                yield change


def _select(tenant: str) -> Select[Any]:
    joined = schema.customers.join(
        schema.heads, and_(_heads.tenant == _customers.tenant, _heads.customer == _customers.customer)
    )
    columns = select(
        _customers.customer, _customers.name, _heads.plan, _heads.time_zone, _customers.created_at, _heads.anchor_at,
        cast(_heads.overrides, Text), _heads.pool, _customers.merged_into,
    )  # fmt: skip
    return columns.select_from(joined).where(_customers.tenant == tenant)


def _to_customer(row: Sequence[Any]) -> Customer:
    """The customer of a row whose last columns are its overrides as text, its pool, and whom it was merged into."""
    id_, name, plan, time_zone, created_at, anchor, overrides, pool, merged_into = row
    return Customer(id_, name, plan, time_zone, created_at, anchor, read_overrides(overrides), pool, merged_into)


class PostgresCustomerChange(PostgresOnce):
    """See `app.stores.CustomerChange`."""

    async def lock(self, customer: str) -> None:
        """Locks one head."""
        where = and_(_heads.tenant == self._tenant, _heads.customer == customer)
        await self._connection.execute(select(_heads.seq).where(where).with_for_update())

    async def owners(self, subjects: Sequence[str]) -> dict[str, str]:
        """The customers of the subjects that are known."""
        rows = await (await driver(self._connection)).fetch(sql.OWNERS, self._tenant, subjects)
        return {row[0]: row[1] for row in rows}

    async def get(self, customer: str) -> Customer | None:
        """The customer as this transaction sees it."""
        rows = await self._connection.execute(_select(self._tenant).where(_customers.customer == customer))
        return next((_to_customer(row) for row in rows), None)

    async def subscription(self, customer: str) -> str | None:
        """See `app.stores.CustomerChange`."""
        connection = await driver(self._connection)
        found: str | None = await connection.fetchval(_SUBSCRIBED, self._tenant, customer)
        return found

    async def add(self, customers: Sequence[Customer]) -> None:
        """Makes customers with their heads; those that exist stay as they are."""
        if not customers:
            return
        people = [{"tenant": self._tenant, "customer": one.id, "name": one.name} for one in customers]
        # Nothing is counted yet, so nothing is behind.
        version = select(schema.tenants.c.metering_version).where(schema.tenants.c.tenant == self._tenant)
        current = (await self._connection.execute(version)).scalar_one()
        heads = [
            {
                "tenant": self._tenant,
                "customer": one.id,
                "plan": one.plan,
                "time_zone": one.time_zone,
                "metering_version": current,
                "anchor_at": one.anchor,
            }
            for one in customers
        ]
        await self._connection.execute(insert(schema.customers).on_conflict_do_nothing(), people)
        await self._connection.execute(insert(schema.heads).on_conflict_do_nothing(), heads)

    async def add_subject(self, subject: str, customer: str) -> None:
        """Makes a subject; one that exists stays as it is."""
        row = {"tenant": self._tenant, "subject": subject, "customer": customer}
        await self._connection.execute(insert(schema.subjects).on_conflict_do_nothing(), row)

    async def replace(self, customer: Customer) -> int:
        """Puts this in the place of what the customer was; returns the `seq` of this change."""
        where = and_(_heads.tenant == self._tenant, _heads.customer == customer.id)
        governing = {
            "plan": customer.plan,
            "time_zone": customer.time_zone,
            "anchor_at": customer.anchor,
            "overrides": write_overrides(customer.overrides),
            "pool": customer.pool,
        }
        change = update(schema.heads).where(where).values(seq=_heads.seq + 1, **governing).returning(_heads.seq)
        seq: int = (await self._connection.execute(change)).scalar_one()
        named = and_(_customers.tenant == self._tenant, _customers.customer == customer.id)
        await self._connection.execute(update(schema.customers).where(named).values(name=customer.name))
        await notify(self._connection, "customer", self._tenant, customer.id)
        return seq

    async def join(self, customer: str, pool: str) -> str | None:
        """See `app.stores.CustomerChange`."""
        await self.lock(customer)  # as commits do: first the customer, then its pool
        if pool:
            await self.lock(pool)
        connection = await driver(self._connection)
        why: str | None = await connection.fetchval(_WHY_NO_POOL, self._tenant, customer, pool)
        if why is None and pool:
            where = and_(_heads.tenant == self._tenant, _heads.customer == pool)
            await self._connection.execute(update(schema.heads).where(where).values(is_pool=True))
        return why

    async def now(self) -> int:
        """The instant of this transaction."""
        instant: int = await (await driver(self._connection)).fetchval("SELECT now()")
        return instant

    async def adopt(self, owners: Sequence[tuple[str, str]]) -> dict[str, int]:
        """Moves the waiting events of (subject, customer) pairs to their customers and has what they add up to
        made anew. Returns the events moved by customer."""
        connection = await driver(self._connection)
        names = sorted({customer for _, customer in owners})
        seqs = {row[0]: row[1] + 1 for row in await connection.fetch(sql.LOCK, self._tenant, literal(names))}
        columns = [[subject for subject, _ in owners], [customer for _, customer in owners]]
        rows = await connection.fetch(_ADOPT, self._tenant, *columns, [seqs[customer] for _, customer in owners])
        if rows:
            columns = [[row[0] for row in rows], [row[2] for row in rows]]
            await connection.execute(_MARK_ADOPTED, self._tenant, *columns)
        return {row[0]: row[1] for row in rows}
