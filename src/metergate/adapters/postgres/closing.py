"""Closing periods in PostgreSQL: `app.billing.close_ports.CloseStore`.

Who works on a subscription is told by an advisory lock of its session, so that a process that dies holds nothing.
What makes a period close once is the saving transaction: under the customer's head it looks whether the subscription
still is as it was read, and whether rows came late since.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.drafts import delete_drafts, insert_drafts
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.subscriptions import COLUMNS, to_subscription
from metergate.app.billing.close_ports import Claim, Claimed, Closing, Failure
from metergate.app.billing.ids import new_id
from metergate.app.ports.ledger import RaceLostError
from metergate.domain.period import HOUR

_LOCKS = 5_115_001  # the class of our advisory locks
_BY_INDEX = "SET LOCAL enable_seqscan = off"
_LOOKED_AT = 4  # times as many as are wanted are looked at, since others may hold the first ones

_DUE = """
SELECT tenant, id FROM subscription
WHERE closes_at <= $2 AND ($1::text IS NULL OR tenant = $1) AND ($3::text[] IS NULL OR id = ANY($3))
    AND NOT id = ANY($4::text[])
ORDER BY closes_at, tenant, customer, id LIMIT $5"""
_COUNT = """
SELECT count(*) FROM subscription
WHERE closes_at <= $2 AND ($1::text IS NULL OR tenant = $1) AND ($3::text[] IS NULL OR id = ANY($3))
    AND NOT id = ANY($4::text[])"""

# Rows came late for a subscription that has ended, or whose last invoice is a draft.
_LATE = """
SELECT tenant, id FROM (
    SELECT s.tenant, s.id, s.customer FROM customer_head h
    JOIN subscription s ON s.tenant = h.tenant AND s.customer = h.customer AND s.billed_until > h.late_from
    WHERE h.late_from IS NOT NULL AND ($1::text IS NULL OR h.tenant = $1) AND (s.closes_at IS NULL OR EXISTS (
        SELECT FROM invoice i WHERE i.tenant = s.tenant AND i.subscription = s.id AND i.state = 'draft'))
    UNION
    SELECT tenant, id, customer FROM subscription
    WHERE late_from IS NOT NULL AND closes_at IS NULL AND ($1::text IS NULL OR tenant = $1)
) late WHERE ($2::text[] IS NULL OR id = ANY($2)) AND NOT id = ANY($3::text[])
ORDER BY tenant, customer, id LIMIT $4"""
_TRY = """
SELECT tenant, id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(tenant, id, place)
WHERE pg_try_advisory_lock($3, hashtext(tenant || ':' || id)) LIMIT $4"""
# A call that is cancelled while it claims doesn't know what it holds; the session is of nobody else.
_FREE = "SELECT pg_advisory_unlock_all()"
# Whatever changes a row makes a version of it with an xmin of its own.
_READ = f"""
SELECT s.tenant, s.late_from, s.xmin::text, t.catalog_version, {", ".join(f"s.{name}" for name in COLUMNS.split(", "))}
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(tenant, id, place)
CROSS JOIN LATERAL (
    SELECT xmin, * FROM subscription WHERE subscription.tenant = q.tenant AND subscription.id = q.id OFFSET 0
) s
JOIN tenant t ON t.tenant = q.tenant
WHERE $3::timestamptz IS NULL OR s.closes_at <= $3 ORDER BY q.place"""

# However large the table is, of the rows that a list names no more are looked at.
_CUT = """
UPDATE customer_head h SET billed_until = q.until FROM unnest($2::text[], $3::timestamptz[]) AS q(customer, until)
WHERE h.tenant = $1 AND h.customer = ANY($2::text[]) AND h.customer = q.customer
    AND (h.billed_until IS NULL OR h.billed_until < q.until)"""
# As commits do: customers in order of their names, and pools behind them.
_LOCK = """
SELECT customer, late_seq, late_from IS NOT NULL, clock_timestamp() FROM customer_head
WHERE tenant = $1 AND customer = ANY($2::text[]) ORDER BY is_pool, customer FOR UPDATE"""
_VERSIONS = "SELECT id, xmin::text FROM subscription WHERE tenant = $1 AND id = ANY($2::text[])"

# What came late is told to all of the customer's subscriptions that were invoiced for it; those of $3 have seen it.
_SPREAD = """
UPDATE subscription s SET late_from = least(s.late_from, h.late_from)
FROM customer_head h
WHERE h.tenant = $1 AND h.customer = ANY($2::text[]) AND h.late_from IS NOT NULL
    AND s.tenant = $1 AND s.customer = h.customer AND s.billed_until > h.late_from AND NOT s.id = ANY($3::text[])"""
_TOLD = """
UPDATE customer_head SET late_from = NULL WHERE tenant = $1 AND customer = ANY($2::text[]) AND late_from IS NOT NULL"""
_CLOSED = """
WITH made_good AS (DELETE FROM billing_failure WHERE tenant = $1 AND subscription = ANY($2::text[]))
UPDATE subscription s SET billed_until = q.billed_until, closes_at = q.closes_at,
    late_from = CASE WHEN q.settled THEN NULL ELSE s.late_from END
FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::boolean[])
    AS q(id, billed_until, closes_at, settled)
WHERE s.tenant = $1 AND s.id = ANY($2::text[]) AND s.id = q.id"""
_DRAFT_STANDS = "SELECT id FROM invoice WHERE tenant = $1 AND id = ANY($2::text[]) AND state = 'draft' FOR UPDATE"
_FAILED = """
INSERT INTO billing_failure AS f (tenant, subscription, period_end, reason, message, tries, at)
VALUES ($1, $2, $3, $4, $5, 1, clock_timestamp())
ON CONFLICT (tenant, subscription, period_end) DO UPDATE
SET reason = excluded.reason, message = excluded.message, tries = f.tries + 1, at = excluded.at"""
_FAILURES = """
SELECT tenant, subscription, period_end, reason, message, tries, at FROM billing_failure
WHERE tenant = $1 ORDER BY at DESC, subscription"""


class PostgresClosing:
    """See `app.billing.close_ports.CloseStore`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def now(self) -> int:
        """See `app.billing.close_ports.CloseStore`."""
        instant: int = (await self._fetch("SELECT clock_timestamp()"))[0][0]
        return instant

    async def due(self, claim: Claim) -> int:
        """See `app.billing.close_ports.CloseStore`."""
        wanted = None if claim.wanted is None else sorted(claim.wanted)
        count: int = (await self._fetch(_COUNT, claim.tenant, claim.now, wanted, sorted(claim.passed)))[0][0]
        return count

    async def _fetch(self, statement: str, *parameters: Any) -> list[Any]:
        with engine_errors():
            async with self._single.connect() as pooled:
                rows: list[Any] = await (await driver(pooled)).fetch(statement, *parameters)
                return rows

    def claim(self, claim: Claim) -> AbstractAsyncContextManager[list[Claimed]]:
        """See `app.billing.close_ports.CloseStore`."""
        return self._claim(claim)

    @asynccontextmanager
    async def _claim(self, claim: Claim) -> AsyncGenerator[list[Claimed]]:
        with engine_errors():
            async with self._single.connect() as pooled:
                connection = await driver(pooled)
                try:
                    mine = await self._hold(connection, claim)
                    rows = await connection.fetch(_READ, *mine, None if claim.late else claim.now)
                    yield [_to_claimed(row) for row in rows]
                finally:
                    if not connection.is_closed():
                        await connection.execute(_FREE)

    async def _hold(self, connection: Any, claim: Claim) -> list[list[str]]:
        wanted = None if claim.wanted is None else sorted(claim.wanted)
        most = claim.most * _LOOKED_AT
        if claim.late:
            rows = await connection.fetch(_LATE, claim.tenant, wanted, sorted(claim.passed), most)
        else:
            rows = await connection.fetch(_DUE, claim.tenant, claim.now, wanted, sorted(claim.passed), most)
        columns = [[row[0] for row in rows], [row[1] for row in rows]]
        held = await connection.fetch(_TRY, *columns, _LOCKS, claim.most)
        return [[row[0] for row in held], [row[1] for row in held]]

    async def read(self, tenant: str, subscriptions: Sequence[str]) -> list[Claimed]:
        """See `app.billing.close_ports.CloseStore`."""
        rows = await self._fetch(_READ, [tenant] * len(subscriptions), list(subscriptions), None)
        return [_to_claimed(row) for row in rows]

    async def cut(self, tenant: str, until: Mapping[str, int]) -> None:
        """See `app.billing.close_ports.CloseStore`."""
        with engine_errors():
            async with self._engine.begin() as pooled:
                connection = await driver(pooled)
                await connection.execute(_BY_INDEX)
                await connection.fetch(_LOCK, tenant, sorted(until))
                await connection.execute(_CUT, tenant, list(until), list(until.values()))

    async def save(self, tenant: str, closings: Sequence[Closing]) -> list[str]:
        """See `app.billing.close_ports.CloseStore`."""
        with engine_errors():
            async with self._engine.begin() as pooled:
                connection = await driver(pooled)
                await connection.execute(_BY_INDEX)
                return await _save(connection, tenant, closings)

    async def failed(self, failure: Failure) -> None:
        """See `app.billing.close_ports.CloseStore`."""
        await self._fetch(_FAILED, *failure[:5])

    async def failures(self, tenant: str) -> list[Failure]:
        """See `app.billing.close_ports.CloseStore`."""
        return [Failure(*row) for row in await self._fetch(_FAILURES, tenant)]


def _to_claimed(row: Any) -> Claimed:
    tenant, late_from, version, catalog_version, *subscription = row
    return Claimed(tenant, to_subscription(subscription), late_from, version, catalog_version)


class _Head(NamedTuple):
    """A head as it was locked."""

    late_seq: int
    is_late: bool
    now: int


async def _save(connection: Any, tenant: str, closings: Sequence[Closing]) -> list[str]:
    customers = sorted({one.before.customer for one in closings})
    heads = {row[0]: _Head(*tuple(row)[1:]) for row in await connection.fetch(_LOCK, tenant, customers)}
    ids = [one.before.id for one in closings]
    versions = dict(map(tuple, await connection.fetch(_VERSIONS, tenant, ids)))
    drafts = [one.again for one in closings if one.again]
    standing = {row[0] for row in await connection.fetch(_DRAFT_STANDS, tenant, drafts)} if drafts else set()
    good = [one for one in closings if _is_good(one, heads, versions, standing)]
    await _close(connection, tenant, good, heads)
    done = {one.before.id for one in good}
    return [one for one in ids if one not in done]


def _is_good(one: Closing, heads: Mapping[str, _Head], versions: Mapping[str, str], drafts: Collection[str]) -> bool:
    """Whether nothing that matters changed since it was read."""
    head = heads.get(one.before.customer)
    unchanged = head is not None and head.late_seq <= one.seq and versions.get(one.before.id) == one.version
    return unchanged and (not one.again or one.again in drafts)


async def _close(connection: Any, tenant: str, good: Sequence[Closing], heads: Mapping[str, _Head]) -> None:
    if not good:
        return
    old = [one.again for one in good if one.again and one.invoice is not None]
    if old:
        await delete_drafts(connection, tenant, old)
    invoices = []
    for one in good:
        if one.invoice is not None:
            now = heads[one.before.customer].now
            id_ = one.invoice.id or new_id("inv", now)
            finalize_at = one.invoice.finalize_at or now + one.draft_hours * HOUR
            invoices.append(replace(one.invoice, id=id_, created_at=now, finalize_at=finalize_at))
    if len(await insert_drafts(connection, tenant, invoices)) < len(invoices):
        raise RaceLostError("a period was invoiced meanwhile")
    late = sorted({one.before.customer for one in good if heads[one.before.customer].is_late})
    if late:
        await connection.execute(_SPREAD, tenant, late, [one.before.id for one in good if one.settles_late])
        await connection.execute(_TOLD, tenant, late)
    columns = [
        [one.before.id for one in good], [one.after.billed_until for one in good], [one.closes_at for one in good],
        [one.settles_late for one in good],
    ]  # fmt: skip
    await connection.execute(_CLOSED, tenant, *columns)
