"""Corrections in PostgreSQL: what stands of an event, what a commit appends of its corrections, and their history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.events import event_columns, ids_ahead, to_event
from metergate.adapters.postgres.holds import literal
from metergate.app.usage.history import History, Version
from metergate.domain.correction import FIRST, Corrected, Kind, Place, Standing
from metergate.domain.posting import Posting, Signed
from metergate.domain.usage import Event
from metergate.domain.work import Correct

Key = tuple[str, str]
"""An event's source and id."""

_COLUMNS = """version, kind, customer, pool, counted_at, seq, content, from_customer, from_pool, from_counted_at,
    from_seq, digest, unmatched"""

_NEWEST = f"""
SELECT q.source, q.id, v.* FROM unnest($2::text[], $3::text[]) AS q(source, id)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM usage_version WHERE tenant = $1 AND source = q.source AND id = q.id
    ORDER BY version DESC LIMIT 1
) v"""

_ASKED_BEFORE = f"""
SELECT q.service, q.request_id, v.* FROM unnest($2::text[], $3::text[]) AS q(service, request_id)
CROSS JOIN LATERAL (
    SELECT source, id, {_COLUMNS} FROM usage_version
    WHERE tenant = $1 AND service = q.service AND request_id = q.request_id AND request_id <> '' OFFSET 0
) v"""

# Where the first content stands: as its id tells, or, once that is forgotten, as whoever asks says.
_FIRST = """
SELECT q.source, q.id, i.customer, i.counted_at, i.seq FROM unnest($2::text[], $3::text[]) AS q(source, id)
CROSS JOIN LATERAL (
    SELECT customer, counted_at, seq FROM usage_id
    WHERE tenant = $1 AND source = q.source AND id = q.id AND slice <= $4 LIMIT 1
) i"""

_CONTENT = """
SELECT e.*, q.content FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::integer[])
    AS q(customer, counted_at, source, id, content)
CROSS JOIN LATERAL (
    SELECT seq, recorded_at, source, id, type, subject, time, amount, values, labels, settles, pool FROM usage_event
    WHERE tenant = $1 AND customer = q.customer AND counted_at = q.counted_at AND source = q.source AND id = q.id
        AND coalesce(version, 1) = q.content AND sign IS NULL LIMIT 1
) e"""

_INSTANT = "(timestamptz '1970-01-01 00:00+00' + {0}::bigint * interval '1 microsecond')"
_APPEND = f"""
INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id, type, subject, amount,
    values, labels, settles, pool, sign, version)
SELECT $1, q.customer, q.seq::bigint, {_INSTANT.format("q.counted")}, $2,
    CASE WHEN q.time <> '' THEN {_INSTANT.format("q.time")} END, q.source, q.id, q.type, q.subject,
    nullif(q.amount, '')::numeric, nullif(q.values, '')::jsonb, nullif(q.labels, '')::jsonb, nullif(q.settles, ''),
    nullif(q.pool, ''), nullif(q.sign::smallint, 1), nullif(q.version::integer, 1)
FROM unnest({", ".join(f"${place}::text::text[]" for place in range(3, 18))})
    AS q(customer, seq, counted, time, source, id, type, subject, amount, values, labels, settles, pool, sign,
        version)"""

_KEEP = f"""
INSERT INTO usage_version (tenant, recorded_at, source, id, {_COLUMNS}, reason, service, key_id, request_id, backfill)
SELECT $1, $2, q.* FROM unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::bigint[], $11::integer[], $12::text[], $13::text[], $14::timestamptz[], $15::bigint[],
    $16::bytea[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[]) q"""


async def load_standing(
    connection: Any, tenant: str, works: Sequence[Correct]
) -> tuple[dict[Key, Standing], dict[tuple[str, str], Corrected]]:
    """See `app.ports.ledger.Commit`."""
    hints = {(work.source, work.id): work.hint for work in works if work.hint}
    standing = await standing_of(connection, tenant, sorted({(work.source, work.id) for work in works}), hints)
    asked = sorted({(work.service, work.request_id) for work in works if work.request_id})
    rows = await connection.fetch(_ASKED_BEFORE, tenant, [one[0] for one in asked], [one[1] for one in asked])
    return standing, {(row[0], row[1]): _to_corrected(row) for row in rows}


async def standing_of(
    connection: Any, tenant: str, keys: Sequence[Key], hints: Mapping[Key, tuple[str, int]] | None = None
) -> dict[Key, Standing]:
    """What stands of the events of these ids, as far as they are known. `hints` say for whom and when those count
    whose ids are forgotten."""
    columns = [[source for source, _ in keys], [id_ for _, id_ in keys]]
    newest = {(row[0], row[1]): _to_corrected(row) for row in await connection.fetch(_NEWEST, tenant, *columns)}
    first = await connection.fetch(_FIRST, tenant, *columns, ids_ahead(datetime.now(UTC)))
    places = {(row[0], row[1]): (Place(*row[2:5]), FIRST) for row in map(tuple, first)}
    for key, hint in (hints or {}).items():
        places.setdefault(key, (Place(*hint, 0), FIRST))
    for key, one in newest.items():
        place = one.put or one.taken
        assert place is not None, "a correction takes something back, or puts something"
        places[key] = (place, one.content)
    found: dict[Key, Standing] = {}
    for key, row in (await _contents(connection, tenant, places)).items():
        place, content = places[key]
        last = newest.get(key)
        if last is None:
            place = place._replace(seq=row["seq"], pool=row["pool"] or "")
        version, voided = (FIRST, False) if last is None else (last.version, last.kind is Kind.VOID)
        found[key] = Standing(to_event(row), place, version, voided, content)
    return found


async def _contents(connection: Any, tenant: str, places: Mapping[Key, tuple[Place, int]]) -> dict[Key, Any]:
    rows = await connection.fetch(
        _CONTENT,
        tenant,
        [place.customer for place, _ in places.values()],
        [place.counted_at for place, _ in places.values()],
        [source for source, _ in places],
        [id_ for _, id_ in places],
        [content for _, content in places.values()],
    )
    return {(row["source"], row["id"]): row for row in rows}


def _to_corrected(row: Any) -> Corrected:
    kind = Kind(row["kind"])
    put = Place(row["customer"], row["counted_at"], row["seq"], row["pool"])
    taken = None
    if row["from_customer"] is not None:
        taken = Place(row["from_customer"], row["from_counted_at"], row["from_seq"], row["from_pool"])
    return Corrected(
        row["source"], row["id"], row["version"], kind, taken, None if kind is Kind.VOID else put, row["content"],
        digest=row["digest"], unmatched=row["unmatched"],
    )  # fmt: skip


async def write_corrections(connection: Any, tenant: str, posting: Posting, now: int) -> None:
    """Appends the rows of the commit's corrections, and the corrections themselves, in order of their ids."""
    await connection.execute(_APPEND, tenant, now, *[literal(column) for column in _row_columns(posting.signed)])
    rows = sorted(map(_kept, posting.corrected), key=lambda row: row[:3])
    await connection.execute(_KEEP, tenant, now, *[list(column) for column in zip(*rows, strict=True)])


def _row_columns(signed: Iterable[Signed]) -> list[list[str]]:
    ordered = sorted(signed, key=lambda one: (one.row.event.source, one.row.event.id, one.version, one.sign))
    rows = [one.row for one in ordered]
    return [
        [row.customer for row in rows],
        [str(row.seq) for row in rows],
        [str(row.counted_at) for row in rows],
        ["" if row.event.time is None else str(row.event.time) for row in rows],
        [row.event.source for row in rows],
        [row.event.id for row in rows],
        *event_columns([row.event for row in rows]),
        [row.pool for row in rows],
        [str(one.sign) for one in ordered],
        [str(one.version) for one in ordered],
    ]


def _kept(one: Corrected) -> tuple[Any, ...]:
    work, place, taken = one.work, one.put or one.taken, one.taken
    assert work is not None, "it was made by this commit"
    assert place is not None, "it takes something back, or puts something"
    origin = (taken.customer, taken.pool, taken.counted_at, taken.seq) if taken else (None, None, None, None)
    return (
        one.source, one.id, one.version, one.kind.value, place.customer, place.pool, place.counted_at, place.seq,
        one.content, *origin, one.digest, one.unmatched, work.reason, work.service, work.key_id, work.request_id,
        work.staged,
    )  # fmt: skip


_VERSIONS = f"""
SELECT source, id, recorded_at, reason, service, key_id, backfill, {_COLUMNS} FROM usage_version
WHERE tenant = $1 AND source = $2 AND id = $3 AND version > $4 ORDER BY version LIMIT $5"""


class PostgresCorrections:
    """`app.usage.history.CorrectionReader` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._snapshots = snapshots(engine)

    async def standing(self, tenant: str, key: Key, hint: tuple[str, int] | None) -> Standing | None:
        """See `app.usage.history.CorrectionReader`."""
        with engine_errors():
            async with self._engine.connect() as pooled:
                found = await standing_of(await driver(pooled), tenant, [key], {key: hint} if hint else None)
        return found.get(key)

    async def asked_before(self, tenant: str, service: str, request_id: str) -> Corrected | None:
        """See `app.usage.history.CorrectionReader`."""
        with engine_errors():
            async with self._engine.connect() as pooled:
                rows = await (await driver(pooled)).fetch(_ASKED_BEFORE, tenant, [service], [request_id])
        return _to_corrected(rows[0]) if rows else None

    async def history(self, tenant: str, key: Key, after: int, most: int) -> History:
        """See `app.usage.history.CorrectionReader`."""
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                rows = await connection.fetch(_VERSIONS, tenant, *key, after, most)
                versions = [] if after else await self._first(connection, tenant, key)
                return [*versions, *[await _version(connection, tenant, row) for row in rows]][:most]

    async def _first(self, connection: Any, tenant: str, key: Key) -> History:
        """The event as it was recorded: where the first correction took it from, or where it stands."""
        rows = await connection.fetch(_VERSIONS, tenant, *key, FIRST, 1)
        if rows:
            place = _to_corrected(rows[0]).taken
        else:
            columns = ([key[0]], [key[1]], ids_ahead(datetime.now(UTC)))
            found = [tuple(row) for row in await connection.fetch(_FIRST, tenant, *columns)]
            place = Place(*found[0][2:5]) if found else None
        if place is None:
            return []
        content = (await _contents(connection, tenant, {key: (place, FIRST)})).get(key)
        if content is None:
            return []
        put = place._replace(seq=content["seq"], pool=content["pool"] or "")
        return [Version(FIRST, None, to_event(content), None, put, content["recorded_at"], "", "", "", "")]


async def _version(connection: Any, tenant: str, row: Any) -> Version:
    one = _to_corrected(row)
    event: Event | None = None
    if one.put is not None:
        content = (await _contents(connection, tenant, {(one.source, one.id): (one.put, one.content)})).get(
            (one.source, one.id)
        )
        event = to_event(content) if content is not None else None
    return Version(
        one.version, one.kind, event, one.taken, one.put, row["recorded_at"], row["reason"], row["service"],
        row["key_id"], row["backfill"],
    )  # fmt: skip
