"""Erasures in PostgreSQL: each piece is one transaction under the customer's head, with the note of how far it is.

So a process that is killed loses nothing: whoever comes next reads the note. In each snapshot events, rollups and
counters agree: a piece rewrites all events of its quarter hours with the rollups of these, in the customer's ledger and
in those of its pools, and drops the counters that names stand in.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metergate.adapters.postgres import erase_sql as sql
from metergate.adapters.postgres import schema
from metergate.adapters.postgres.definitions import driver, load_catalog
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.notify import notify
from metergate.app.customer.data import Erasure, Stepped
from metergate.app.customer.move import not_found
from metergate.app.ports.ledger import RaceLostError
from metergate.domain.erasure import Step, kept
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import LATEST, QUARTER
from metergate.domain.posting import NOBODY

_ROWS = 5_000  # of a piece, and more where a quarter hour has more
_SECONDS = 1_800  # for a statement: a piece cannot be smaller than it is
_SERIES = "measure" if "measure" in schema.rollups.c else "meter"
_e = schema.erasures.c
_COLUMNS = (
    _e.id, _e.customer, _e.new_id, _e.dimensions, _e.event_ids, _e.service, _e.key_id, _e.step, _e.started_at,
    _e.finished_at, _e.counts,
)  # fmt: skip


class PostgresErasures:
    """`app.customer.data.Erasures` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, tenant: str, erasure: Erasure) -> Stepped:
        """See `app.customer.data.Erasures`."""
        async with self._piece(tenant) as piece:
            heads = await piece.fetch(sql.LOCK, customers=[NOBODY, erasure.customer])
            found = await piece.find(erasure)
            if found is None:
                if erasure.customer not in {row[0] for row in heads}:
                    raise not_found(erasure.customer)
                await piece.begin(erasure)
                found = erasure.id
            return await piece.stepped(found)

    async def step(self, tenant: str, id: str) -> Stepped:
        """See `app.customer.data.Erasures`."""
        async with self._piece(tenant) as piece:
            await piece.load(id)
            await piece.do()
            return await piece.stepped(id)

    async def page(self, tenant: str, customer: str, after: tuple[int, str] | None, most: int) -> Sequence[Erasure]:
        """See `app.customer.data.Erasures`."""
        page = select(*_COLUMNS).where(_e.tenant == tenant)
        if customer:
            page = page.where(_e.customer == customer)
        if after is not None:
            page = page.where(tuple_(_e.started_at, _e.id) < tuple_(*after))
        with engine_errors():
            async with self._engine.connect() as connection:
                rows = await connection.execute(page.order_by(_e.started_at.desc(), _e.id.desc()).limit(most))
                return [_to_erasure(row) for row in rows]

    async def left(self, idle: int, most: int) -> list[tuple[str, str]]:
        """See `app.customer.data.Erasures`."""
        async with self._piece("") as piece:
            rows = await piece.fetch(sql.LEFT, idle=timedelta(microseconds=idle), gone=await piece.gone(), most=most)
            return [(row[0], row[1]) for row in rows]

    @asynccontextmanager
    async def _piece(self, tenant: str) -> AsyncGenerator[_Piece]:
        with engine_errors():
            async with self._engine.begin() as connection:
                raw = await driver(connection)
                await raw.execute(f"SET LOCAL statement_timeout = {_SECONDS * 1000}")
                yield _Piece(connection, raw, tenant)


@dataclass(slots=True)
class _Row:
    """An erasure as the piece has it locked."""

    erasure: Erasure
    place: int
    pools: list[str]
    counts: dict[str, int]


class _Piece:
    """One transaction."""

    def __init__(self, connection: AsyncConnection, raw: Any, tenant: str) -> None:
        self._connection = connection
        self._raw = raw
        self._values: dict[str, Any] = {"tenant": tenant}
        self._tenant = tenant

    async def fetch(self, statement: str, **values: Any) -> list[Any]:
        """The rows."""
        text, parameters = sql.bound(statement, self._values | values)
        return [tuple(row) for row in await self._raw.fetch(text, *parameters, timeout=_SECONDS)]

    async def execute(self, statement: str, **values: Any) -> int:
        """How many rows it changed."""
        text, parameters = sql.bound(statement, self._values | values)
        status: str = await self._raw.execute(text, *parameters, timeout=_SECONDS)
        return int(status.rpartition(" ")[2])

    async def gone(self) -> int:
        """The instant before which no event's id can come again: its slice is dropped."""
        names = await self.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage_id'::regclass"
        )
        oldest = min(name.rpartition("usage_id_")[2] for (name,) in names)
        month = datetime.strptime(oldest, "%Y_%m").replace(tzinfo=UTC)
        return int(month.timestamp()) * 1_000_000 - QUARTER

    async def find(self, wanted: Erasure) -> str | None:
        """The id of one that was asked for already."""
        rows = await self._connection.execute(
            select(*_COLUMNS).where(
                _e.tenant == self._tenant,
                (_e.id == wanted.id) | ((_e.customer == wanted.customer) & _e.finished_at.is_(None)),
            )
        )
        found = [_to_erasure(row) for row in rows]
        for one in found:
            if one.id == wanted.id:
                renamed = one.new_id and one.customer == one.new_id
                if one.asked != wanted.asked or not (renamed or one.customer == wanted.customer):
                    message = "the request id was used before with another body"
                    raise MetergateError(Reason.REQUEST_ID_REUSED, message, {})
                return one.id
        if found and found[0].asked != wanted.asked:
            raise _not_possible(wanted.customer, "another erasure of it is under way, which does other things")
        return found[0].id if found else None

    async def begin(self, erasure: Erasure) -> None:
        """Notes what shall be done and who asked, and takes the names out of what subjects are known by."""
        self._values |= {"customer": erasure.customer, "id": erasure.id, "new_id": erasure.new_id}
        if not await self.fetch("SELECT FROM customer WHERE tenant = :tenant AND customer = :customer"):
            raise not_found(erasure.customer)
        if holds := (await self.fetch(sql.OPEN_HOLDS))[0][0]:
            raise _not_possible(
                erasure.customer, f"it has {holds} open reservations or leases: release them, or let them end"
            )
        if erasure.new_id and (await self.fetch(sql.TAKEN))[0][0]:
            raise _not_possible(erasure.customer, f"{erasure.new_id!r} is a customer or a subject already")
        if erasure.new_id and (await self.fetch(sql.SUBSCRIBED))[0][0]:
            raise _not_possible(erasure.customer, "it has subscriptions, and their invoices keep its id")
        secret = secrets.token_bytes(32)
        await self.execute(
            sql.BEGIN,
            dimensions=erasure.dimensions,
            event_ids=erasure.event_ids,
            service=erasure.service,
            key_id=erasure.key_id,
            secret=secret,
            id_secret=secrets.token_bytes(32),
        )
        self._values |= {"secret": secret, "kept": await self._kept(erasure.customer)}
        await self.execute(sql.UNNAME)
        await self.execute(sql.DETAILS)
        await self.execute(sql.SUBJECTS)
        await self.execute(sql.MOVED)
        await self.execute(sql.RAISE, customers=[erasure.customer])
        await notify(self._connection, "customer", self._tenant, erasure.customer)
        await notify(self._connection, "subjects", self._tenant, erasure.customer)

    async def load(self, id: str) -> None:
        """Locks the customer's head and then the note, and readies what the statements need."""
        ((customer, step),) = await self.fetch(sql.WHOSE, id=id)
        first = [NOBODY] if step == Step.RENAME else []
        heads = await self.fetch(sql.LOCK, customers=[*first, customer])
        text, parameters = sql.bound(sql.LOCK_ROW, self._values | {"id": id})
        row = await self._raw.fetchrow(text, *parameters)
        self._row = _Row(
            _to_erasure([row[column.name] for column in _COLUMNS]),
            row["place"], list(row["pools"]), dict(row["counts"]),
        )  # fmt: skip
        erasure = self._row.erasure
        if erasure.customer != customer or not heads:
            raise RaceLostError("it was renamed meanwhile")
        self._is_pool, self._pool = bool(heads[-1][1]), str(heads[-1][2])
        definitions = await load_catalog(self._raw, self._tenant)
        self._ties = any(meter.extremes for meter in definitions.meters)
        catalog = kept(definitions)
        self._values |= {
            "id": id, "customer": erasure.customer, "new_id": erasure.new_id, "dimensions": erasure.dimensions,
            "event_ids": erasure.event_ids, "started": row["started_at"],
            "secret": row["secret"], "id_secret": row["id_secret"],
            "gone": await self.gone(), "kept": await self._kept(erasure.customer), "labels": list(catalog.labels),
            "fixed": list(catalog.fixed), "values": list(catalog.values), "words": json.dumps(catalog.words),
        }  # fmt: skip

    async def _kept(self, customer: str) -> list[str]:
        return [customer, *[row[0] for row in await self.fetch(sql.KEPT, customer=customer)]]

    async def do(self) -> None:
        """The next piece."""
        pieces = {
            Step.EVENTS: self._events,
            Step.HOLDS: self._holds,
            Step.REST: self._rest,
            Step.RENAME: self._rename,
            Step.VIEW: self._view,
            Step.DONE: self._done,
            Step.IDS: self._ids,
        }
        if self._row.erasure.step in pieces:
            await pieces[self._row.erasure.step]()

    async def _events(self) -> None:
        row = self._row
        start, end = row.place, await self._range_end(row.place)
        series = await self._series(row.erasure.customer)
        self._values |= {"start": start, "end": end}
        named = await self.fetch(_keyed(sql.NAMED), pool=self._pool or None, series=series)
        subjects = sorted({subject for subject, _ in named})
        pools = sorted({pool for _, pool in named if pool})
        used = [word for (word,) in await self.fetch(sql.WORDS)]
        await self.fetch(sql.LOCK, customers=pools)
        # Which of several values of one instant is the latest goes by the ids.
        ids_go = self._ties and (await self.fetch(sql.SOME_FORGOTTEN))[0][0]
        self._count("usage_version", await self.execute(sql.VERSIONS))
        if row.erasure.event_ids:
            self._count("usage_id", await self.execute(sql.IDS))
        self._count("usage_event", await self.execute(sql.EVENTS))
        behind = [row.erasure.customer] if self._is_pool or ids_go else []
        self._count("usage_rollup", await self.execute(_keyed(sql.ROLLUPS), series=series))
        closed = sql.POOL_CLOSED if self._is_pool else sql.CLOSED
        self._count("usage_closed", await self.execute(_keyed(closed), series=series, subjects=subjects))
        if ids_go or (pools and (await self.fetch(sql.SHARED_SUBJECTS, subjects=subjects))[0][0]):
            behind += pools
        for pool in pools:
            values = {"customer": pool, "series": await self._series(pool), "subjects": subjects}
            self._count("usage_closed", await self.execute(_keyed(sql.POOL_CLOSED), **values))
            if pool not in behind:
                self._count("usage_rollup", await self.execute(_keyed(sql.POOL_ROLLUPS), **values))
        if behind:
            await self.execute(sql.BEHIND, customers=behind)
        await self._drop_counters(pools, subjects, used)
        row.pools = sorted({*row.pools, *pools})
        await self._note(*((Step.HOLDS, 0) if end == LATEST else (Step.EVENTS, end)))

    async def _lock_pools(self) -> None:
        """Locks the heads of the pools that anything of the customer's counts in, behind its own."""
        holding = [pool for (pool,) in await self.fetch(sql.HOLD_POOLS)]
        self._row.pools = sorted({*self._row.pools, *holding})
        await self.fetch(sql.LOCK, customers=self._row.pools)

    async def _drop_counters(self, pools: Sequence[str], subjects: Sequence[str], used: Sequence[str]) -> None:
        """Drops what names stand in, and takes them out of the news of limits."""
        everyone = [self._row.erasure.customer, *pools]
        values = {"customers": everyone, "pools": pools, "subjects": subjects}
        for statement in (sql.COUNTERS, sql.UNIQUE_COUNTERS):
            self._count("usage_counter", await self.execute(statement, **values))
        await self.execute(sql.COUNTER_VALUES, **values)
        self._count("outbox", await self.execute(sql.OUTBOX, pools=pools, subjects=subjects, used=used))
        self._count("limit_event", await self.execute(sql.LIMIT_EVENTS, **values))
        self._count("limit_event", await self.execute(sql.POOL_LIMIT_EVENTS, pools=pools, used=used))
        await self.execute(sql.RAISE, customers=everyone)

    async def _range_end(self, start: int) -> int:
        """Where the piece ends that begins there: at a quarter hour, behind at least so many events or rollups."""
        ends = [LATEST]
        for (instant,) in await self.fetch(sql.EVENTS_END, start=start, most=_ROWS):
            ends.append((instant // QUARTER + 1) * QUARTER)
        series = await self._series(self._row.erasure.customer)
        ((quarter,),) = await self.fetch(_keyed(sql.ROLLUPS_END), start=start, most=_ROWS, series=series)
        if quarter is not None:
            ends.append(quarter + QUARTER)
        return min(ends)

    async def _series(self, customer: str) -> list[str]:
        return [row[0] for row in await self.fetch(_keyed(sql.SERIES), customer=customer)]

    async def _holds(self) -> None:
        row = self._row
        ((last,),) = await self.fetch(sql.HOLD_MOVES_END)
        until = row.place + _ROWS
        self._values |= {"place": row.place, "until": until}
        subjects = [subject for (subject,) in await self.fetch(sql.NAMED_BY_HOLDS)]
        await self._lock_pools()
        used = [word for (word,) in await self.fetch(sql.WORDS_OF_HOLDS)]
        await self._drop_counters(row.pools, subjects, used)
        self._count("hold_move", await self.execute(sql.HOLD_MOVES))
        await self._note(*((Step.REST, 0) if until >= last else (Step.HOLDS, until)))

    async def _rest(self) -> None:
        row = self._row
        await self._lock_pools()
        self._count("hold_move", await self.execute(sql.POOL_HOLD_MOVES, pools=row.pools))
        self._count("hold", await self.execute(sql.HOLDS))
        self._count("limit_event", await self.execute(sql.ALL_LIMIT_EVENTS))
        self._count("subject_move", await self.execute(sql.SUBJECT_MOVES))
        self._count("request", await self.execute(sql.ANSWERS))
        self._count("usage_version", await self.execute(sql.REASONS))
        self._count("backfill_row", await self.execute(sql.STAGED))
        await self.execute(sql.RAISE, customers=[row.erasure.customer, *row.pools])
        await self._note(Step.RENAME if row.erasure.new_id else Step.VIEW, 0)

    async def _rename(self) -> None:
        row = self._row
        old = row.erasure.customer
        if (await self.fetch(sql.TAKEN))[0][0]:
            raise _not_possible(old, f"{row.erasure.new_id!r} is a customer or a subject already")
        await self.fetch(sql.LOCK, customers=row.pools)
        everyone = [old, row.erasure.new_id, *row.pools]
        await self._note(Step.VIEW, 0)
        await self.execute(sql.OWN_COUNTERS, customers=everyone)
        await self.execute(sql.RENAME_IDS)
        await self.execute(sql.COPY)
        for table, column, has_subjects in await self.fetch(sql.NAMING):
            await self.execute(sql.RENAME.format(table=table, column=column))
            if column == "customer" and has_subjects and table != "subject":
                await self.execute(sql.RENAME_OWN_SUBJECT.format(table=table), customers=everyone)
        await self.execute(sql.DELETE_CUSTOMER)
        await self.execute(sql.RAISE, customers=[row.erasure.new_id, *row.pools])
        await notify(self._connection, "customer", self._tenant, old)
        await notify(self._connection, "subjects", self._tenant, old)

    async def _view(self) -> None:
        """The fast view has forgotten the customer: that is all, but for ids that may come again."""
        step = Step.OVER if self._row.erasure.event_ids else Step.DONE
        await self._note(step, 0)
        await self.execute(sql.FORGET_SECRETS, step=step.value)

    async def _done(self) -> None:
        finished = self._row.erasure.finished_at
        assert finished is not None, "it is done"
        await self._note(Step.IDS if finished < self._values["gone"] else Step.DONE, 0)

    async def _ids(self) -> None:
        start = self._row.place
        end = await self._range_end(start)
        self._values |= {"start": start, "end": end}
        self._count("usage_version", await self.execute(sql.VERSIONS))
        self._count("ids of usage_event", await self.execute(sql.EVENT_IDS))
        if self._ties:
            await self._lock_pools()
            await self.execute(sql.BEHIND, customers=[self._row.erasure.customer, *self._row.pools])
        over = end == LATEST
        await self._note(*((Step.OVER, 0) if over else (Step.IDS, end)))
        if over:
            await self.execute(sql.FORGET_SECRETS, step=Step.OVER.value)

    def _count(self, table: str, rows: int) -> None:
        self._row.counts[table] = self._row.counts.get(table, 0) + rows

    async def _note(self, step: Step, place: int) -> None:
        row = self._row
        row.erasure = replace(row.erasure, step=step)
        counts = json.dumps(row.counts)
        await self.execute(sql.NOTE, step=step.value, place=place, pools=row.pools, counts=counts)

    async def stepped(self, id: str) -> Stepped:
        """The erasure as it stands, and the heads that it changed."""
        rows = await self._connection.execute(select(*_COLUMNS, _e.pools).where(_e.tenant == self._tenant, _e.id == id))
        *columns, pools = rows.one()
        erasure = _to_erasure(columns)
        seqs = await self.fetch(sql.SEQS, customers=[erasure.customer, *pools])
        return Stepped(erasure, dict(seqs))


def _keyed(statement: str) -> str:
    """Rollups are keyed by what they sum up."""
    return statement.replace("{key}", _SERIES)


def _to_erasure(row: Sequence[Any]) -> Erasure:
    named = dict(zip([column.name for column in _COLUMNS], row, strict=True))
    return Erasure(**named | {"step": Step(named["step"])})


def _not_possible(customer: str, why: str) -> MetergateError:
    message = f"the personal data of customer {customer!r} cannot be erased now: {why}"
    return MetergateError(Reason.ERASURE_NOT_POSSIBLE, message, {"customer": customer})
