"""Backfills in PostgreSQL: their states and their staging. What they would change is in `backfill_plan`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metergate.adapters.postgres.backfill_plan import PREPARE, differences, planned
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.events import event_columns, to_event
from metergate.adapters.postgres.holds import literal
from metergate.app.backfill.ports import (
    BackfillChange,
    Claimed,
    Difference,
    Known,
    Pair,
    Plan,
    Problem,
    Staged,
)
from metergate.domain.backfill import Backfill, RowState, Scope, StagedMark, State, words
from metergate.domain.correction import FIRST, Place, Standing
from metergate.domain.errors import MetergateError
from metergate.domain.usage import Event

_PLAN_SECONDS = 1800

# The rows are found by their key, however little the planner knows of a table that has just been filled; once they are
# locked, their places stay what they are. A row is marked once: a work that is done again finds it marked.
_FIND = """
CROSS JOIN LATERAL (
    SELECT ctid FROM backfill_row WHERE tenant = $1 AND backfill = q.backfill AND source = q.source AND id = q.id {0}
) found"""
_HOLD = f"""
SELECT count(*) FROM unnest($2::text[], $3::text[], $4::text[]) AS q(backfill, source, id)
{_FIND.format("FOR UPDATE")}"""
_MARK = f"""
UPDATE backfill_row r SET state = q.state, reason = q.reason, field = q.field, message = q.message,
    made = CASE WHEN q.version > 0 AND q.state = 'applied' THEN q.version ELSE r.made END
FROM (
    SELECT q.*, found.ctid AS place FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::integer[], $8::text[], $9::text[], $10::text[])
        AS q(backfill, source, id, before, state, version, reason, field, message)
    {_FIND.format("OFFSET 0")}
) q
WHERE r.ctid = q.place AND r.state = q.before"""


async def mark_staged(connection: Any, tenant: str, marks: Sequence[StagedMark]) -> None:
    """See `app.ports.ledger.Commit`."""
    if marks:
        columns = [list(map(_plain, column)) for column in zip(*marks, strict=True)]
        await connection.fetchval(_HOLD, tenant, *columns[:3])
        await connection.execute(_MARK, tenant, *columns)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, RowState) else value


_HEADER = """id, state, reason, service, key_id, created_at, changed_at, expires_at, expired, scope::text, digest"""
_LOCK = f"SELECT {_HEADER}, clock_timestamp() FROM backfill WHERE tenant = $1 AND id = $2 FOR UPDATE"
_COUNTS = """(
SELECT json_object_agg(state, number)::text FROM (
    SELECT state, count(*) AS number FROM backfill_row r WHERE r.tenant = b.tenant AND r.backfill = b.id GROUP BY state
) c)"""
_GET = f"SELECT {_HEADER}, {_COUNTS} FROM backfill b WHERE tenant = $1 AND id = $2"
_LIST = f"""
SELECT {_HEADER}, {_COUNTS} FROM backfill b
WHERE tenant = $1 AND ($2 = '' OR state = $2) AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
ORDER BY created_at DESC, id DESC LIMIT $5"""
_ADD = """
INSERT INTO backfill (tenant, id, state, reason, service, key_id, created_at, changed_at, expires_at, scope, digest)
SELECT $1, $2, $3, $4, $5, $6, now(), now(), now() + $7 * interval '1 microsecond', $8::jsonb, $9"""
_PROBLEMS = """
SELECT source, id, state, reason, field, message FROM backfill_row
WHERE tenant = $1 AND backfill = $2 AND state IN ('conflict', 'rejected', 'kept') AND (source, id) > ($3, $4)
ORDER BY source, id LIMIT $5"""

_INSTANT = "(timestamptz '1970-01-01 00:00+00' + {0}::bigint * interval '1 microsecond')"
_CONTENT = "source, id, type, subject, counted_at AS time, amount, values, labels, NULL AS settles"
# What a preview has put there of the ledger's becomes an event to load.
_STAGE = f"""
WITH there AS (
    SELECT {_CONTENT}, r.type IS NOT NULL AS loaded FROM unnest($3::text::text[], $4::text::text[]) AS q(s, i)
    JOIN backfill_row r ON r.tenant = $1 AND r.backfill = $2 AND r.source = q.s AND r.id = q.i
), staged AS (
    INSERT INTO backfill_row AS r (tenant, backfill, source, id, counted_at, type, subject, amount, values, labels,
        digest, customer, owner, state)
    SELECT $1, $2, q.source, q.id, {_INSTANT.format("q.time")}, q.type, q.subject, nullif(q.amount, '')::numeric,
        nullif(q.values, '')::jsonb, nullif(q.labels, '')::jsonb, decode(q.digest, 'hex'), '', '', 'pending'
    FROM unnest({", ".join(f"${place}::text::text[]" for place in range(3, 12))})
        AS q(source, id, time, type, subject, amount, values, labels, digest)
    ON CONFLICT (tenant, backfill, source, id) DO UPDATE SET counted_at = excluded.counted_at, type = excluded.type,
        subject = excluded.subject, amount = excluded.amount, values = excluded.values, labels = excluded.labels,
        digest = excluded.digest
    WHERE r.type IS NULL
), known AS (
    SELECT i.* FROM unnest($3::text::text[], $4::text::text[]) AS q(s, i)
    CROSS JOIN LATERAL (
        SELECT source, id, digest FROM usage_id WHERE tenant = $1 AND source = q.s AND id = q.i LIMIT 1) i
)
SELECT coalesce(t.source, k.source) AS key_source, coalesce(t.id, k.id) AS key_id, k.digest AS known, t.*
FROM (SELECT * FROM there WHERE loaded) t FULL JOIN known k ON k.source = t.source AND k.id = t.id"""
_TOUCH = """
UPDATE backfill SET changed_at = now(), expires_at = now() + $3 * interval '1 microsecond', planned = false
WHERE tenant = $1 AND id = $2"""
_MOVE = "UPDATE backfill SET state = $3, changed_at = now() WHERE tenant = $1 AND id = $2"

_EXPIRE = """
UPDATE backfill SET state = 'discarded', expired = true, changed_at = now()
WHERE state = 'open' AND expires_at < now()"""
_THROW_AWAY = """
DELETE FROM backfill_row r USING (
    SELECT r.tenant, r.backfill, r.source, r.id
    FROM backfill b JOIN backfill_row r ON r.tenant = b.tenant AND r.backfill = b.id
    WHERE b.state = 'discarded' AND b.changed_at > now() - interval '2 days' LIMIT 10000) q
WHERE r.tenant = q.tenant AND r.backfill = q.backfill AND r.source = q.source AND r.id = q.id"""
_CLAIM = f"""
UPDATE backfill b SET claim = $1, claimed_until = now() + $2 * interval '1 second'
FROM (
    SELECT tenant, id FROM backfill
    WHERE state IN ('committing', 'reverting') AND (claimed_until < now() OR claim = $1)
    ORDER BY tenant, id FOR UPDATE SKIP LOCKED) q
WHERE b.tenant = q.tenant AND b.id = q.id
RETURNING b.tenant, {", ".join("b." + column.strip() for column in _HEADER.split(","))}"""
_BATCH = f"""
SELECT {_CONTENT}, customer, replaces, made, digest FROM backfill_row
WHERE tenant = $1 AND backfill = $2 AND state = $3
    AND customer = (SELECT min(customer) FROM backfill_row WHERE tenant = $1 AND backfill = $2 AND state = $3)
ORDER BY customer, counted_at, source, id LIMIT $4"""
# What stood before: what the version that was made has taken back.
_BEFORE = """
SELECT v.source, v.id, v.from_customer, v.from_counted_at, v.from_seq, v.from_pool, e.*
FROM unnest($2::text[], $3::text[], $4::integer[]) AS q(source, id, made)
JOIN usage_version v ON v.tenant = $1 AND v.source = q.source AND v.id = q.id AND v.version = q.made
CROSS JOIN LATERAL (
    SELECT type, subject, time, amount, values, labels, settles FROM usage_event
    WHERE tenant = $1 AND customer = v.from_customer AND counted_at = v.from_counted_at AND source = v.source
        AND id = v.id AND coalesce(version, 1) = v.version - 1 AND sign IS NULL LIMIT 1
) e"""
_REJECT = """
UPDATE backfill_row SET state = 'rejected', reason = $6, field = $7, message = $8
WHERE tenant = $1 AND backfill = $2 AND source = $3 AND id = $4 AND state = $5"""
_FINISH = "UPDATE backfill SET state = $4, changed_at = now() WHERE tenant = $1 AND id = $2 AND state = $3"


def _to_backfill(row: Sequence[Any], counts: str | None = None) -> Backfill:
    id_, state, reason, service, key_id, created_at, changed_at, expires_at, expired, scope, digest = row
    replaced = None
    if scope:
        customers, subjects, types, start, end = json.loads(scope)
        replaced = Scope(tuple(customers), tuple(subjects), tuple(types), start, end)
    counted = {RowState(name): number for name, number in (json.loads(counts) if counts else {}).items()}
    return Backfill(
        id_,
        State(state),
        reason,
        service,
        key_id,
        created_at,
        changed_at,
        expires_at,
        expired,
        replaced,
        digest,
        counted,
    )


class PostgresBackfills:
    """`app.backfill.ports.Backfills` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._snapshots = snapshots(engine)

    def change(self, tenant: str, id: str) -> AbstractAsyncContextManager[BackfillChange]:
        """See `app.backfill.ports.Backfills`."""
        return self._change(tenant, id)

    @asynccontextmanager
    async def _change(self, tenant: str, id: str) -> AsyncGenerator[BackfillChange]:
        with engine_errors():
            async with self._engine.begin() as connection:
                await connection.execute(text(f"SET LOCAL statement_timeout = {_PLAN_SECONDS * 1000}"))
                yield PostgresBackfillChange(connection, tenant, id)

    async def get(self, tenant: str, id: str) -> Backfill | None:
        """See `app.backfill.ports.BackfillReader`."""
        rows = await self._fetch(_GET, tenant, id)
        return _to_backfill(rows[0][:-1], rows[0][-1]) if rows else None

    async def recent(
        self, tenant: str, state: State | None, after: tuple[int, str] | None, most: int
    ) -> Sequence[Backfill]:
        """See `app.backfill.ports.BackfillReader`."""
        place = after or (None, "")
        rows = await self._fetch(_LIST, tenant, state.value if state else "", *place, most)
        return [_to_backfill(row[:-1], row[-1]) for row in rows]

    async def problems(self, tenant: str, id: str, after: Pair, most: int) -> Sequence[Problem]:
        """See `app.backfill.ports.BackfillReader`."""
        rows = await self._fetch(_PROBLEMS, tenant, id, *after, most)
        return [Problem(*row)._replace(state=RowState(row[2])) for row in rows]

    async def planned(self, tenant: str, id: str) -> Plan:
        """See `app.backfill.ports.BackfillReader`."""
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                return await planned(await driver(pooled), tenant, id)

    async def differences(self, tenant: str, id: str, plan: Plan, after: Pair, most: int) -> Sequence[Difference]:
        """See `app.backfill.ports.BackfillReader`."""
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                return await differences(await driver(pooled), tenant, id, plan, after, most)

    async def _fetch(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                return [tuple(row) for row in await (await driver(pooled)).fetch(statement, *parameters)]


class PostgresBackfillChange:
    """`app.backfill.ports.BackfillChange` on PostgreSQL."""

    def __init__(self, connection: AsyncConnection, tenant: str, id: str) -> None:
        self._connection = connection
        self._tenant = tenant
        self._id = id

    async def get(self) -> tuple[Backfill, int] | None:
        """See `app.backfill.ports.BackfillChange`."""
        rows = await (await self._driver()).fetch(_LOCK, self._tenant, self._id)
        return (_to_backfill(tuple(rows[0])[:-1]), rows[0][-1]) if rows else None

    async def add(self, backfill: Backfill) -> None:
        """See `app.backfill.ports.BackfillChange`."""
        scope = json.dumps(list(backfill.scope)) if backfill.scope else None
        await (await self._driver()).execute(
            _ADD, self._tenant, backfill.id, backfill.state.value, backfill.reason, backfill.service, backfill.key_id,
            backfill.expires_at - backfill.created_at, scope, backfill.digest,
        )  # fmt: skip

    async def stage(self, events: Sequence[Event], open_for: int) -> dict[Pair, Known]:
        """See `app.backfill.ports.BackfillChange`."""
        connection = await self._driver()
        await connection.execute(_TOUCH, self._tenant, self._id, open_for)
        ordered = sorted(events, key=lambda event: (event.source, event.id))
        columns = [
            [event.source for event in ordered],
            [event.id for event in ordered],
            [str(event.time) for event in ordered],
            *event_columns(ordered)[:-1],
            [event.digest.hex() for event in ordered],
        ]
        rows = await connection.fetch(_STAGE, self._tenant, self._id, *[literal(column) for column in columns])
        return {
            (row["key_source"], row["key_id"]): Known(row["known"], to_event(row) if row["source"] else None)
            for row in rows
        }

    async def move(self, state: State) -> None:
        """See `app.backfill.ports.BackfillChange`."""
        await (await self._driver()).execute(_MOVE, self._tenant, self._id, state.value)

    async def plan(self) -> None:
        """See `app.backfill.ports.BackfillChange`."""
        connection = await self._driver()
        for statement in PREPARE:
            await connection.execute(statement, self._tenant, self._id, timeout=_PLAN_SECONDS)

    async def _driver(self) -> Any:
        return await driver(self._connection)


class PostgresBackfillQueue:
    """`app.backfill.ports.BackfillQueue` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def expire(self) -> None:
        """See `app.backfill.ports.BackfillQueue`."""
        await self._execute(_EXPIRE)
        await self._execute(_THROW_AWAY)

    async def claim(self, claim: str, seconds: float) -> list[Claimed]:
        """See `app.backfill.ports.BackfillQueue`."""
        rows = await self._execute(_CLAIM, claim, seconds)
        return [Claimed(row[0], _to_backfill(row[1:])) for row in sorted(rows)]

    async def batch(self, tenant: str, id: str, state: RowState, most: int) -> list[Staged]:
        """See `app.backfill.ports.BackfillQueue`."""
        with engine_errors():
            async with self._engine.begin() as pooled:
                connection = await driver(pooled)
                rows = await connection.fetch(_BATCH, tenant, id, state.value, most)
                before: dict[Pair, Standing] = {}
                if state is RowState.APPLIED:
                    before = await _stood(connection, tenant, [row for row in rows if row["replaces"]])
        return [_to_staged(row, before.get((row["source"], row["id"]))) for row in rows]

    async def reject(self, tenant: str, id: str, row: Staged, before: RowState, error: MetergateError) -> None:
        """See `app.backfill.ports.BackfillQueue`."""
        await self._execute(_REJECT, tenant, id, row.source, row.id, before.value, *words(error))

    async def finish(self, tenant: str, id: str, before: State, state: State) -> None:
        """See `app.backfill.ports.BackfillQueue`."""
        await self._execute(_FINISH, tenant, id, before.value, state.value)

    async def _execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with engine_errors():
            async with self._engine.begin() as pooled:
                return [tuple(row) for row in await (await driver(pooled)).fetch(statement, *parameters)]


async def _stood(connection: Any, tenant: str, rows: Sequence[Any]) -> dict[Pair, Standing]:
    columns = [[row[name] for row in rows] for name in ("source", "id", "made")]
    found = await connection.fetch(_BEFORE, tenant, *columns)
    return {
        (row["source"], row["id"]): Standing(
            to_event(row),
            Place(row["from_customer"], row["from_counted_at"], row["from_seq"], row["from_pool"]),
            FIRST,
        )
        for row in found
    }


def _to_staged(row: Any, before: Standing | None) -> Staged:
    event = None
    if row["type"] is not None:
        event = to_event(row)
        event.digest = row["digest"]
    return Staged(row["source"], row["id"], row["customer"], event, row["replaces"] or 0, row["made"] or 0, before)
