"""The ledger of record: `app.ports.ledger.Ledger` on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from metergate.adapters.postgres import statements as sql
from metergate.adapters.postgres.backfill import mark_staged
from metergate.adapters.postgres.columns import (
    besides,
    by_id,
    counter_columns,
    id_columns,
    key_columns,
    more_columns,
    rollup_columns,
    shrunk_columns,
)
from metergate.adapters.postgres.corrections import load_standing, write_corrections
from metergate.adapters.postgres.definitions import load_catalog
from metergate.adapters.postgres.errors import GONE, driver_errors
from metergate.adapters.postgres.events import event_columns, ids_ahead, to_event
from metergate.adapters.postgres.figures import FIGURES, FIGURES_AT, KEPT, RECOUNT, SUMS
from metergate.adapters.postgres.grants import DUE_GRANTS, load_accounts, write_grants
from metergate.adapters.postgres.holds import hold_columns, literal, move_columns, to_holds, to_shifts
from metergate.adapters.postgres.limit_events import load_reached, write_limit_events
from metergate.adapters.postgres.outbox import write_outbox
from metergate.adapters.postgres.overrides import to_head
from metergate.adapters.postgres.partitions import slices
from metergate.adapters.postgres.values import load_values, write_values
from metergate.app.ports.ledger import (
    Due,
    HeadView,
    HoldOwner,
    LedgerUnavailableError,
    Look,
    Moment,
    OutcomeUnknownError,
    Peek,
    RaceLostError,
)
from metergate.domain import lease
from metergate.domain.backfill import StagedMark
from metergate.domain.catalog import Catalog
from metergate.domain.correction import Corrected, Standing
from metergate.domain.counting import Place, move
from metergate.domain.distinct import Numbers
from metergate.domain.grant import Account
from metergate.domain.hold import Hold
from metergate.domain.late import late_marks
from metergate.domain.outbox import News
from metergate.domain.period import MINUTE
from metergate.domain.posting import Head, Known, Posting
from metergate.domain.posting import Ledger as Read
from metergate.domain.quantity import ZERO
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.routing import Route, RouteQuestion
from metergate.domain.threshold import LimitEvent, Reached
from metergate.domain.usage import Event
from metergate.domain.work import Correct

if TYPE_CHECKING:
    from metergate.app.ports.ledger import Commit

_ACQUIRE_SECONDS = 5.0
_NEW = Figures()
_FIGURES = ("used", "reserved", "leased", "forfeited", "tat", "granted", "pace")
_CATCH_UP_SECONDS = 1800

# By how much a fact's own time, by which it counts, may lie ahead of when it was recorded, and more.
_CLOCKS_DIFFER = 10 * MINUTE


class PostgresLedger:
    """Commits, and counters in one snapshot, over a pool made by `connect.commit_pool`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    def commit(self, tenant: str) -> AbstractAsyncContextManager[Commit]:
        """See `app.ports.ledger.Ledger`."""
        return self._commit(tenant)

    @asynccontextmanager
    async def _commit(self, tenant: str) -> AsyncGenerator[PostgresCommit]:
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    yield PostgresCommit(connection, tenant)
                except BaseException:
                    if not connection.is_closed():
                        await transaction.rollback()
                    raise
                try:
                    await transaction.commit()
                except GONE as error:
                    raise OutcomeUnknownError(str(error)) from error

    async def figures(self, tenant: str, keys: Sequence[CounterKey]) -> tuple[int, dict[CounterKey, HeadView]]:
        """See `app.ports.ledger.Ledger`."""
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                rows = await connection.fetch(FIGURES, tenant, *key_columns(keys))
        if not rows or len(rows) < len(keys):
            raise LedgerUnavailableError("a customer's head is missing")
        return rows[0]["as_of"], {key: _head_view(key, row) for key, row in zip(keys, rows, strict=True)}

    async def values(
        self, tenant: str, sought: Mapping[CounterKey, Collection[str]]
    ) -> dict[CounterKey, dict[str, int]]:
        """See `app.ports.ledger.Ledger`."""
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                return await load_values(connection, tenant, sought)

    async def figures_at(self, tenant: str, moments: Sequence[Moment]) -> list[dict[CounterKey, Figures]]:
        """See `app.ports.ledger.Ledger`."""
        keys = [key for moment in moments for key in moment.keys]
        asked = [moment for moment in moments for _ in moment.keys]
        columns = [
            [moment.customer for moment in asked],
            [moment.seq for moment in asked],
            [moment.at for moment in asked],
            [moment.at - _CLOCKS_DIFFER for moment in asked],
        ]
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                rows = iter(await connection.fetch(FIGURES_AT, tenant, *key_columns(keys), *columns))
        return [{key: Figures(*next(rows)) for key in moment.keys} for moment in moments]

    async def reached(
        self, tenant: str, pairs: Sequence[tuple[CounterKey, str]]
    ) -> dict[tuple[CounterKey, str], Reached]:
        """See `app.ports.ledger.Ledger`."""
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                return await load_reached(connection, tenant, pairs)

    async def peek(self, tenant: str, units: Sequence[tuple[str, Sequence[Event]]]) -> list[Peek]:
        """See `app.ports.ledger.Ledger`."""
        # No id or source holds a control character.
        columns = [
            [customer for customer, _ in units],
            ["\x1f".join([event.source for event in events]) for _, events in units],
            ["\x1f".join([event.id for event in events]) for _, events in units],
        ]
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                rows = await connection.fetch(sql.PEEK, tenant, *columns, ids_ahead(datetime.now(UTC)))
        if len(rows) < len(units):
            raise LedgerUnavailableError("a customer's head is missing")
        return [Peek(*row) for row in rows]

    async def hold_owners(self, tenant: str, ids: Sequence[str]) -> dict[str, HoldOwner]:
        """See `app.ports.ledger.Ledger`."""
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                rows = await connection.fetch(sql.HOLD_OWNERS, tenant, ids)
        return {row[0]: HoldOwner(*row[1:]) for row in map(tuple, rows)}

    async def due_holds(self, most: int, tenants: Sequence[str], customers: Sequence[str]) -> list[Due]:
        """See `app.ports.ledger.Ledger`."""
        lag = timedelta(microseconds=lease.LAG)
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                return [Due(*row) for row in await connection.fetch(sql.DUE_HOLDS, lag, most, tenants, customers)]

    async def due_grants(self, most: int, tenants: Sequence[str], customers: Sequence[str]) -> list[Due]:
        """See `app.ports.ledger.Ledger`."""
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                return [Due(*row) for row in await connection.fetch(DUE_GRANTS, most, tenants, customers)]

    async def metering_version(self, tenant: str, customer: str) -> int:
        """See `app.ports.ledger.Ledger`."""
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                version: int = await connection.fetchval(sql.METERING_VERSION, tenant, customer)
                return version

    async def live_counters(
        self, tenant: str, customer: str, meters: Sequence[str], subjects: Sequence[str], since: int, now: int
    ) -> list[CounterKey]:
        """See `app.ports.ledger.Ledger`."""
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                rows = await connection.fetch(sql.LIVE_COUNTERS, tenant, customer, since, now, meters, subjects)
        return [CounterKey(*row) for row in rows]


class PostgresCommit:
    """One open transaction; see `app.ports.ledger.Commit`."""

    def __init__(self, connection: Any, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def lock(self, customers: Sequence[str], wait: bool) -> dict[str, Head]:
        """See `app.ports.ledger.Commit`."""
        rows = await self._connection.fetch(sql.LOCK if wait else sql.LOCK_FREE, self._tenant, literal(customers))
        return {row[0]: to_head(row) for row in rows}

    async def look(self, events: Sequence[Event]) -> Look:
        """See `app.ports.ledger.Commit`."""
        rows = await self._connection.fetch(
            sql.LOOK,
            self._tenant,
            literal([event.source for event in events]),
            literal([event.id for event in events]),
            literal([event.digest.hex() for event in events]),
            ids_ahead(datetime.now(UTC)),
        )
        found = [row for row in rows if row["id"] is not None]
        contents = await self._first_contents([row for row in found if row["digest"] != row["asked"]])
        known = {}
        for row in found:
            key = (row["source"], row["id"])
            known[key] = Known(row["customer"], row["seq"], row["digest"], contents.get(key), row["counted_at"])
        return Look(rows[0]["now"], rows[0]["catalog_version"], known)

    async def _first_contents(self, rows: Sequence[Any]) -> dict[tuple[str, str], Event]:
        if not rows:
            return {}
        found = await self._connection.fetch(
            sql.FIRST_CONTENTS,
            self._tenant,
            [row["customer"] for row in rows],
            [row["counted_at"] for row in rows],
            [row["source"] for row in rows],
            [row["id"] for row in rows],
        )
        return {(row["source"], row["id"]): to_event(row) for row in found}

    async def catalog(self) -> Catalog:
        """See `app.ports.ledger.Commit`."""
        return await load_catalog(self._connection, self._tenant)

    async def owners(self, subjects: Sequence[str]) -> dict[str, str]:
        """See `app.ports.ledger.Commit`."""
        rows = await self._connection.fetch(sql.OWNERS, self._tenant, subjects)
        return {row["subject"]: row["customer"] for row in rows}

    async def routes(self, questions: Sequence[RouteQuestion]) -> list[Route]:
        """See `app.ports.ledger.Commit`."""
        columns = [[one.subject for one in questions], [one.hold for one in questions]]
        return [Route(*row) for row in await self._connection.fetch(sql.ROUTES, self._tenant, *columns)]

    async def catch_up(self, customers: Sequence[str], meters: Sequence[str]) -> None:
        """See `app.ports.ledger.Commit`."""
        # A whole history may have to be read; what cannot end could never be caught up with.
        await self._connection.execute(f"SET LOCAL statement_timeout = {_CATCH_UP_SECONDS * 1000}")
        for statement in (sql.FORGET_COUNTERS, sql.FORGET_ROLLUPS, sql.ROLL_UP, sql.RATES_ANEW):
            await self._connection.execute(statement, self._tenant, customers, meters, timeout=_CATCH_UP_SECONDS)

    async def counters(self, places: Sequence[Place], oldest: int) -> dict[CounterKey, Figures]:
        """See `app.ports.ledger.Commit`."""
        columns = [literal(column) for column in zip(*places, strict=True)]
        rows = await self._connection.fetch(sql.COUNTERS, self._tenant, *columns, oldest)
        return {CounterKey(*row[:6]): Figures.of([one or ZERO for one in row[6:]]) for row in map(tuple, rows)}

    async def sums(self, keys: Sequence[CounterKey]) -> dict[CounterKey, Figures]:
        """See `app.ports.ledger.Commit`."""
        rows = await self._connection.fetch(SUMS, self._tenant, *key_columns(keys))
        used = {key: Figures(row[0]) for key, row in zip(keys, rows, strict=True)}
        whose = {key[:3] for key in keys}
        wanted = sorted(one for one in whose if not one[2] or (*one[:2], "") not in whose)
        columns = [literal(column) for column in zip(*wanted, strict=True)]
        kept = await self._connection.fetch(KEPT, self._tenant, *columns, min(key.start for key in keys))
        return used | move(used, {}, to_shifts(kept))

    async def values(self, sought: Mapping[CounterKey, Collection[str]]) -> dict[CounterKey, dict[str, int]]:
        """See `app.ports.ledger.Commit`."""
        return await load_values(self._connection, self._tenant, sought)

    async def write_values(self, born: Sequence[CounterKey], moves: Numbers) -> None:
        """See `app.ports.ledger.Commit`."""
        await write_values(self._connection, self._tenant, born, moves)

    async def holds(self, ids: Sequence[str]) -> list[Hold]:
        """See `app.ports.ledger.Commit`."""
        return to_holds(await self._connection.fetch(sql.HOLDS, self._tenant, literal(ids)))

    async def holders(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """See `app.ports.ledger.Commit`."""
        customers, meters = literal([pair[0] for pair in pairs]), literal([pair[1] for pair in pairs])
        rows = await self._connection.fetch(sql.HOLDERS, self._tenant, customers, meters)
        return {(row[0], row[1]): row[2] for row in rows}

    async def grants(self, pairs: Sequence[tuple[str, str]], ids: Sequence[str]) -> dict[tuple[str, str], Account]:
        """See `app.ports.ledger.Commit`."""
        return await load_accounts(self._connection, self._tenant, pairs, ids)

    async def standing(
        self, works: Sequence[Correct]
    ) -> tuple[dict[tuple[str, str], Standing], dict[tuple[str, str], Corrected]]:
        """See `app.ports.ledger.Commit`."""
        return await load_standing(self._connection, self._tenant, works)

    async def mark_staged(self, marks: Sequence[StagedMark]) -> None:
        """See `app.ports.ledger.Commit`."""
        await mark_staged(self._connection, self._tenant, marks)

    async def write(
        self,
        posting: Posting,
        ledger: Read,
        counters: Mapping[CounterKey, Figures],
        stored: Mapping[CounterKey, Figures],
        customers: Sequence[str],
    ) -> None:
        """See `app.ports.ledger.Commit`."""
        rows = sorted(posting.rows, key=by_id)
        now, catalog = ledger.now, ledger.catalog
        id_slices, rolled = slices(now), rollup_columns(posting, catalog)
        written = await self._connection.fetchval(
            sql.WRITE,
            self._tenant,
            now,
            *[literal(column) for column in id_columns(rows)],
            id_slices,
            *[literal(column) for column in event_columns([row.event for row in rows])],
            *[literal(column) for column in rolled[:7]],
            *[literal(column) for column in counter_columns(counters)],
            catalog.metering_version,
            literal(customers),
            literal(["" if row.counted_at == now else str(row.counted_at) for row in rows]),
            literal([row.pool for row in rows]),
            *[literal(column) for column in rolled[7:]],
        )
        late = late_marks(posting, ledger.heads)
        if late:
            marks = [literal([*late]), literal([str(late_from) for late_from in late.values()])]
            await self._connection.execute(sql.MARK_LATE, self._tenant, *marks)
        if posting.signed:
            await write_corrections(self._connection, self._tenant, posting, now)
        if posting.shrunk:
            lists = [literal(column) for column in shrunk_columns(posting, catalog)]
            await self._connection.execute(sql.SHRINK, self._tenant, *lists)
        changed = [hold for id_, hold in sorted(posting.holds.items()) if hold is not ledger.holds.get(id_)]
        more = {key: one for key, one in counters.items() if besides(one) != besides(stored.get(key, _NEW))}
        if changed or more:
            columns = [*more_columns(more), *move_columns(posting, ledger), *hold_columns(changed)]
            lists = [literal(column) for column in columns]
            if await self._connection.fetchval(sql.WRITE_HOLDS, self._tenant, now, *lists) < len(columns[-1]):
                raise RaceLostError("a request id was used at once for another customer")
        if posting.grants:
            await write_grants(self._connection, self._tenant, posting, ledger)
        if written < len(rows) * len(id_slices):
            raise RaceLostError("an id was taken by a commit on another head")

    async def reached(self, pairs: Sequence[tuple[CounterKey, str]]) -> dict[tuple[CounterKey, str], Reached]:
        """See `app.ports.ledger.Commit`."""
        return await load_reached(self._connection, self._tenant, pairs)

    async def recount(
        self, keys: Sequence[CounterKey], counters: Mapping[CounterKey, Figures]
    ) -> dict[CounterKey, Figures]:
        """See `app.ports.ledger.Commit`."""
        rows = await self._connection.fetch(RECOUNT, self._tenant, *key_columns(keys))
        return {key: counters[key]._replace(used=row[0]) for key, row in zip(keys, rows, strict=True)}

    async def write_limit_events(self, events: Sequence[LimitEvent]) -> list[LimitEvent]:
        """See `app.ports.ledger.Commit`."""
        return await write_limit_events(self._connection, self._tenant, events)

    async def write_outbox(self, news: Sequence[News]) -> None:
        """See `app.ports.ledger.Commit`."""
        await write_outbox(self._connection, self._tenant, news)


def _head_view(key: CounterKey, row: Any) -> HeadView:
    names = ("seq", "plan", "time_zone", "metering_version", "anchor_at", "overrides", "pool")
    head = to_head((key.customer, *[row[name] for name in names]))
    figures = Figures.of([row[name] or ZERO for name in _FIGURES])
    return HeadView(head, figures)
