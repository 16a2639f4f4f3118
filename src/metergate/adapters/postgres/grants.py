"""Grants in PostgreSQL: their accounts under a head's lock, what a commit writes of them, and reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.holds import literal
from metergate.app.customer.grants import GrantQuery, Moved, MoveQuery
from metergate.app.ports.ledger import RaceLostError
from metergate.app.ports.readers import GrantPart
from metergate.domain.grant import Account, Grant, Move, MoveKind, State
from metergate.domain.period import Period
from metergate.domain.posting import Ledger, Posting

_GRANT = """id, customer, meter, amount, start_at, end_at, priority, recurs, until_at, anchor_at,
    rollover_min, rollover_max, rolled, burned, lost, state, seq, place, created_at, digest"""
_WIDTH = 20

# What a move adds to what grants allow in all.
_EFFECT = """CASE WHEN kind IN ('base', 'start', 'roll') THEN amount
    WHEN kind IN ('expire', 'void') THEN -amount ELSE 0 END"""

_ACCOUNTS = f"""
SELECT q.customer AS whose, q.meter AS which, a.granted, g.*
FROM unnest($2::text::text[], $3::text::text[]) AS q(customer, meter)
LEFT JOIN LATERAL (
    SELECT granted FROM grant_account WHERE tenant = $1 AND customer = q.customer AND meter = q.meter OFFSET 0
) a ON true
LEFT JOIN LATERAL (
    SELECT {_GRANT} FROM usage_grant
    WHERE tenant = $1 AND customer = q.customer AND meter = q.meter AND state IN ('pending', 'active')
    UNION ALL
    SELECT {_GRANT} FROM usage_grant
    WHERE tenant = $1 AND id = ANY($4::text::text[]) AND customer = q.customer AND meter = q.meter
        AND state NOT IN ('pending', 'active')
    UNION ALL  -- what was taken back of the same series: a repeat is told of it
    SELECT {_GRANT} FROM usage_grant
    WHERE tenant = $1 AND customer = q.customer AND meter = q.meter AND state = 'voided'
        AND id <> ALL ($4::text::text[])
        AND split_part(id, '.', 1) = ANY (SELECT split_part(i, '.', 1) FROM unnest($4::text::text[]) i)
) g ON true
WHERE a.granted IS NOT NULL OR g.id IS NOT NULL
ORDER BY 1, 2, g.seq, g.place, g.id"""

# What was granted in all after the commit with that seq ($4), or where none is known, of that instant ($5).
_THEN = "(CASE WHEN $4::bigint IS NULL THEN recorded_at <= $5 ELSE seq <= $4 END)"
_GRANTED_AT = f"""
SELECT coalesce(sum({_EFFECT}), 0) FROM grant_move
WHERE tenant = $1 AND customer = $2 AND meter = $3 AND kind <> 'burn' AND {_THEN}"""

_GRANTS_AT = f"""
SELECT g.id, m.brought, m.burned, m.lost
FROM (
    SELECT id, seq FROM usage_grant WHERE tenant = $1 AND customer = $2 AND meter = $3
        AND (CASE WHEN $4::bigint IS NULL THEN created_at <= $5 ELSE seq <= $4 END)
    ORDER BY seq DESC, id DESC LIMIT $6
) g
CROSS JOIN LATERAL (
    SELECT sum(amount) FILTER (WHERE kind IN ('start', 'roll')) AS brought,
        coalesce(sum(amount) FILTER (WHERE kind = 'burn'), 0) AS burned,
        coalesce(sum(amount) FILTER (WHERE kind IN ('expire', 'void')), 0) AS lost
    FROM grant_move WHERE tenant = $1 AND id = g.id AND {_THEN}
) m
WHERE m.brought IS NOT NULL
ORDER BY g.seq DESC, g.id DESC"""

_INSTANT = "(timestamptz '1970-01-01 00:00+00' + nullif({0}, '')::bigint * interval '1 microsecond')"


def _lists(first: int, count: int) -> str:
    return ", ".join(f"${place}::text::text[]" for place in range(first, first + count))


_WRITE = f"""
WITH accounts AS (
    INSERT INTO grant_account AS a (tenant, customer, meter, granted)
    SELECT $1, q.customer, q.meter, q.granted::numeric FROM unnest({_lists(3, 3)}) AS q(customer, meter, granted)
    ON CONFLICT (tenant, customer, meter) DO UPDATE SET granted = excluded.granted
    WHERE a.granted <> excluded.granted
), moves AS (
    INSERT INTO grant_move (tenant, customer, seq, place, recorded_at, meter, id, kind, amount)
    SELECT $1, q.customer, q.seq::bigint, q.place::integer, $2, q.meter, q.id, q.kind, q.amount::numeric
    FROM unnest({_lists(6, 7)}) AS q(customer, seq, place, meter, id, kind, amount)
), written AS (
    INSERT INTO usage_grant AS g (tenant, {_GRANT}, due_at)
    SELECT $1, q.id, q.customer, q.meter, q.amount::numeric, {_INSTANT.format("q.start_at")},
        {_INSTANT.format("q.end_at")}, q.priority::integer, q.recurs, {_INSTANT.format("q.until_at")},
        {_INSTANT.format("q.anchor_at")}, q.rollover_min::numeric, q.rollover_max::numeric, q.rolled::numeric,
        q.burned::numeric, q.lost::numeric, q.state, q.seq::bigint, q.place::integer,
        {_INSTANT.format("q.created_at")}, decode(q.digest, 'hex'), {_INSTANT.format("q.due_at")}
    FROM unnest({_lists(13, _WIDTH + 1)}) AS q({_GRANT}, due_at)
    ON CONFLICT (tenant, id) DO UPDATE SET burned = excluded.burned, lost = excluded.lost, state = excluded.state,
        due_at = excluded.due_at
    WHERE g.customer = excluded.customer AND g.meter = excluded.meter
    RETURNING 1
)
SELECT count(*) FROM written"""

DUE_GRANTS = """
SELECT DISTINCT tenant, customer, meter FROM (
    SELECT tenant, customer, meter FROM usage_grant g WHERE due_at <= now()
        AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS u(tenant, customer)
            WHERE u.tenant = g.tenant AND u.customer = g.customer)
    ORDER BY due_at LIMIT $1) due"""

_OWNER = "SELECT customer, meter FROM usage_grant WHERE tenant = $1 AND id = $2"
_LIST = f"""
SELECT {_GRANT} FROM usage_grant
WHERE tenant = $1 AND customer = $2 AND ($3 = '' OR meter = $3) AND ($4 OR state IN ('pending', 'active'))
    AND ($5::bigint IS NULL OR (seq, id) < ($5, $6))
ORDER BY seq DESC, id DESC LIMIT $7"""
_MOVES = """
SELECT seq, place, recorded_at, meter, kind, id, amount FROM grant_move
WHERE tenant = $1 AND customer = $2 AND ($3 = '' OR meter = $3) AND ($4 = '' OR id = $4)
    AND ($5::bigint IS NULL OR (seq, place) < ($5, $6))
ORDER BY seq DESC, place DESC LIMIT $7"""


async def load_accounts(
    connection: Any, tenant: str, pairs: Sequence[tuple[str, str]], ids: Sequence[str]
) -> dict[tuple[str, str], Account]:
    """See `app.ports.ledger.Commit.grants`."""
    columns = [literal([pair[0] for pair in pairs]), literal([pair[1] for pair in pairs])]
    found: dict[tuple[str, str], tuple[Any, list[Grant]]] = {}
    for row in await connection.fetch(_ACCOUNTS, tenant, *columns, literal(ids)):
        whose, which, granted, *grant = row
        _, grants = found.setdefault((whose, which), (granted, []))
        if grant[0] is not None:
            grants.append(_to_grant(grant))
    return {pair: Account(granted, tuple(grants)) for pair, (granted, grants) in found.items()}


async def write_grants(connection: Any, tenant: str, posting: Posting, before: Ledger) -> None:
    """Writes the accounts that a commit changes, their grants and their history.

    Raises:
        RaceLostError: the id of a new grant is that of another customer's.
    """
    accounts = posting.grants
    rows = [
        _row(grant)
        for pair, account in sorted(accounts.items())
        for grant in account.grants
        if grant not in before.grants[pair].grants
    ]
    opened = [(*pair, str(one.granted)) for pair, one in sorted(accounts.items()) if one.granted is not None]
    columns = [
        *_by_column(opened, 3), *_by_column(_move_rows(posting.grant_moves, before), 7), *_by_column(rows, _WIDTH + 1)
    ]  # fmt: skip
    if await connection.fetchval(_WRITE, tenant, before.now, *[literal(column) for column in columns]) < len(rows):
        raise RaceLostError("a request id was used at once for another customer")


def _move_rows(moves: Mapping[tuple[str, str], Sequence[Move]], before: Ledger) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    places: dict[str, int] = {}
    for (customer, meter), mine in sorted(moves.items()):
        for move in mine:
            place = places[customer] = places.get(customer, -1) + 1
            seq = before.heads[customer].seq + 1
            rows.append((customer, str(seq), str(place), meter, move.grant, move.kind, str(move.amount)))
    return rows


def _row(grant: Grant) -> list[str]:
    return [
        grant.id, grant.customer, grant.meter, str(grant.amount), str(grant.start), _or_none(grant.end),
        str(grant.priority), grant.recurs or "", _or_none(grant.until), str(grant.anchor), str(grant.rollover_min),
        str(grant.rollover_max), str(grant.rolled), str(grant.burned), str(grant.lost), grant.state, str(grant.seq),
        str(grant.place), str(grant.created_at), grant.digest.hex(), _or_none(grant.due),
    ]  # fmt: skip


def _or_none(instant: int | None) -> str:
    return "" if instant is None else str(instant)


def _by_column(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _to_grant(row: Sequence[Any]) -> Grant:
    values = list(row)
    values[7] = Period(values[7]) if values[7] else None
    values[15] = State(values[15])
    return Grant(*values)


async def grants_at(
    connection: Any, tenant: str, pair: tuple[str, str], seq: int | None, at: int, most: int
) -> tuple[Any, list[GrantPart]]:
    """What was granted in all after the commit with that `seq`, or of that instant, and the newest grants as they stood
    then."""
    granted = await connection.fetchval(_GRANTED_AT, tenant, *pair, seq, at)
    return granted, [GrantPart(*row) for row in await connection.fetch(_GRANTS_AT, tenant, *pair, seq, at, most)]


class PostgresGrants:
    """`app.customer.grants.GrantReader` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._snapshots = snapshots(engine)

    async def owner(self, tenant: str, id: str) -> tuple[str, str] | None:
        """See `app.customer.grants.GrantReader`."""
        rows = await self._fetch(_OWNER, tenant, id)
        return (rows[0][0], rows[0][1]) if rows else None

    async def grants(self, tenant: str, query: GrantQuery) -> list[Grant]:
        """See `app.customer.grants.GrantReader`."""
        place = query.after or (None, None)
        rows = await self._fetch(_LIST, tenant, query.customer, query.meter, query.ended_too, *place, query.most)
        return [_to_grant(row) for row in rows]

    async def moves(self, tenant: str, query: MoveQuery) -> list[Moved]:
        """See `app.customer.grants.GrantReader`."""
        place = query.after or (None, None)
        rows = await self._fetch(_MOVES, tenant, query.customer, query.meter, query.grant, *place, query.most)
        return [
            Moved(seq, place, recorded_at, meter, Move(MoveKind(kind), id_, amount))
            for seq, place, recorded_at, meter, kind, id_, amount in rows
        ]

    async def _fetch(self, statement: str, *parameters: Any) -> list[Any]:
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                return list(await (await driver(pooled)).fetch(statement, *parameters))
