"""One server process's worth of verbs over real Postgres and Redis, without gRPC: tests start as many as they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.backfill import PostgresBackfillQueue, PostgresBackfills
from metergate.adapters.postgres.corrections import PostgresCorrections
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.explain import PostgresExplain
from metergate.adapters.postgres.grants import PostgresGrants
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.adapters.postgres.limit_events import PostgresLimitEvents
from metergate.adapters.postgres.reconcile import Reconciler
from metergate.adapters.postgres.summaries import PostgresSummaries
from metergate.adapters.postgres.usage import PostgresUsage
from metergate.adapters.redis.view import RedisView
from metergate.app.backfill.apply import ApplyBackfills
from metergate.app.backfill.manage import ManageBackfills
from metergate.app.catalog.apply import ApplyCatalog
from metergate.app.catch_up import CatchUp
from metergate.app.customer.grants import Grants
from metergate.app.customer.manage import ManageCustomers
from metergate.app.customer.terms import ChangeTerms
from metergate.app.directory import Directory
from metergate.app.due import WhatIsDue, due_grants, due_holds
from metergate.app.ports.readers import Known
from metergate.app.quota.check import Amount, CheckQuota, Question
from metergate.app.quota.consume import ConsumeQuota
from metergate.app.quota.decisions import FirstDecisions
from metergate.app.quota.explain import ExplainDecision
from metergate.app.quota.lease import Leases, Report
from metergate.app.quota.limit_events import ListLimitEvents, Place
from metergate.app.quota.list_limits import ListLimits
from metergate.app.quota.refusals import Refusals
from metergate.app.quota.reserve import Reservations
from metergate.app.stores import Customer
from metergate.app.sweep import SweepView
from metergate.app.usage.asked import SummaryRequest
from metergate.app.usage.commit import UsageCommitter
from metergate.app.usage.correct import Correction, CorrectUsage, Done
from metergate.app.usage.history import UsageHistory
from metergate.app.usage.lane import Lanes
from metergate.app.usage.list_events import ListEvents
from metergate.app.usage.record import Recorded, RecordUsage
from metergate.app.usage.summarize import SummarizeUsage, Summary
from metergate.domain.access import Principal, new_key
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog
from metergate.domain.decision import Decision
from metergate.domain.errors import MetergateError
from metergate.domain.period import MINUTE, Period
from metergate.domain.threshold import LimitEvent
from metergate.domain.usage import AcceptWindow, Event, Receipt, make_event
from metergate.domain.work import Want

TENANT = "t"
PRINCIPAL = Principal(TENANT, "tests", "key")


def event(id: str, type: str = "calls", **fields: Any) -> Event:
    """An event of subject "acme", one call on arrival, unless told otherwise."""
    amount = fields.get("amount", "")
    return make_event(
        id, fields.get("source", "api"), type, fields.get("subject", "acme"), fields.get("time"), str(amount),
        {name: str(value) for name, value in fields.get("values", {}).items()}, fields.get("labels", {}),
        fields.get("settles", ""),
    )  # fmt: skip


@dataclass
class Process:
    """The verbs, and what they stand on."""

    engine: AsyncEngine
    pool: asyncpg.Pool[asyncpg.Record]
    view: RedisView
    directory: Directory
    ledger: PostgresLedger
    usage: PostgresUsage
    record: RecordUsage
    checks: CheckQuota
    catalogs: ApplyCatalog
    customers: ManageCustomers
    summaries: SummarizeUsage
    lists: ListEvents
    limits: ListLimits
    sweep: SweepView
    catch_up: CatchUp
    consumes: ConsumeQuota
    reservations: Reservations
    leases: Leases
    expiry: WhatIsDue
    explain: ExplainDecision
    terms: ChangeTerms
    limit_events: ListLimitEvents
    grants: Grants
    due: WhatIsDue
    corrections: CorrectUsage
    histories: UsageHistory
    backfills: ManageBackfills
    applying: ApplyBackfills

    async def amend(
        self, id: str, new: Event, request_id: str = "", backfill: bool = False, expected: int = 0, source: str = "api"
    ) -> Done:
        """Amends an event."""
        digest = new.digest + source.encode() + id.encode()
        asked = Correction(source, id, new, "wrong", request_id, digest, backfill, expected)
        return await self.corrections.correct(PRINCIPAL, asked)

    async def void(self, id: str, request_id: str = "", expected: int = 0, source: str = "api") -> Done:
        """Voids an event."""
        digest = source.encode() + id.encode()
        asked = Correction(source, id, None, "wrong", request_id, digest, False, expected)
        return await self.corrections.correct(PRINCIPAL, asked)

    async def add(self, *events: Event | Receipt, backfill: bool = False) -> Recorded:
        """Records events."""
        return await self.record.record(PRINCIPAL, events, backfill)

    async def consume(self, *events: Event) -> Answer:
        """Consumes the events as one unit."""
        (answer,) = (await self.consumes.consume(PRINCIPAL, [events])).answers
        if isinstance(answer, MetergateError):
            raise answer
        return answer

    async def reserve(
        self, *wants: Want, subject: str = "acme", ttl: int = MINUTE, partial: bool = False, request_id: str = ""
    ) -> Answer:
        """Reserves."""
        return (await self.reservations.reserve(PRINCIPAL, subject, wants, ttl, partial, request_id))[0]

    async def acquire(
        self, meter: str, amount: str, subject: str = "acme", holder: str = "h", request_id: str = ""
    ) -> Answer:
        """Acquires a lease."""
        return await self.leases.acquire(PRINCIPAL, subject, Want(meter, Decimal(amount), {}), holder, request_id)

    async def sync(self, *reports: Report) -> list[Answer | MetergateError]:
        """Syncs leases."""
        return await self.leases.sync(PRINCIPAL, reports)

    async def outcomes(self, *events: Event, backfill: bool = False) -> list[str]:
        """Records events; what became of each, with the field where there is an error."""
        done = await self.add(*events, backfill=backfill)
        return [f"{one.outcome} {one.error.field}" if one.error else one.outcome.value for one in done.receipts]

    async def apply(self, catalog: Catalog) -> Catalog:
        """Puts a catalog in force."""
        return (await self.catalogs.apply(PRINCIPAL, catalog, dry_run=False)).catalog

    async def customer(self, id: str, plan: str = "", time_zone: str = "UTC") -> int:
        """Makes a customer; how many events had waited for it."""
        return (await self.customers.create(PRINCIPAL, Customer(id, "", plan, time_zone, 0))).adopted

    async def subject(self, id: str, customer: str) -> int:
        """Makes a subject; how many events had waited for it."""
        return (await self.customers.create_subject(PRINCIPAL, id, customer)).adopted

    async def assign(self, customer: str, plan: str) -> None:
        """Puts a customer on a plan."""
        await self.terms.assign_plan(PRINCIPAL, customer, plan)

    async def override(
        self, limit: str, most: str | None, start: int | None = None, end: int | None = None, customer: str = "acme"
    ) -> Customer:
        """Sets an override; None = unlimited."""
        maximum = None if most is None else Decimal(most)
        return await self.terms.set_override(PRINCIPAL, customer, limit, maximum, start, end)

    async def fired(self, customer: str = "", size: int = 1000, after: Place | None = None) -> list[LimitEvent]:
        """Limit events, newest first."""
        return list((await self.limit_events.list(PRINCIPAL, customer, size, after))[0])

    async def check(
        self, meter: str, amount: str = "1", subject: str = "acme", labels: Mapping[str, str] | None = None,
        at_least: Mapping[str, int] | None = None,
    ) -> Decision:  # fmt: skip
        """One question; its decision."""
        question = Question(subject, [Amount(meter, Decimal(amount), labels or {})], at_least or {})
        (answer,) = await self.checks.check(PRINCIPAL, [question])
        if isinstance(answer, MetergateError):
            raise answer
        return answer

    async def used(self, meter: str, subject: str = "acme", labels: Mapping[str, str] | None = None) -> list[Decimal]:
        """What CheckQuota says is used of each limit."""
        return [state.figures.used for state in (await self.check(meter, "0", subject, labels)).states]

    async def summarize(self, *meters: str, **fields: Any) -> Summary:
        """A summary of customer "acme" unless told otherwise."""
        customer = fields.get("customer", "" if "subject" in fields else "acme")
        granularity: Period | None = fields.get("granularity")
        request = SummaryRequest(
            customer, fields.get("subject", ""), meters, fields.get("start"), fields.get("end"), granularity,
            fields.get("time_zone", ""), fields.get("group_by", ()),
            {name: (one,) if isinstance(one, str) else one for name, one in fields.get("filters", {}).items()},
            fields.get("top", 0), fields.get("compare", False), fields.get("projection"),
            Known(fields.get("known_seq"), fields.get("known_at")),
        )  # fmt: skip
        return await self.summaries.summarize(PRINCIPAL, request)

    async def differences(self) -> list[str]:
        """What the reconciler finds."""
        return await Reconciler(self.engine).differences()

    async def fetch(self, statement: str, *parameters: Any) -> list[Any]:
        """Rows of any statement."""
        async with self.pool.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(statement, *parameters)]

    async def now(self) -> int:
        """The database's clock."""
        instant: int = (await self.fetch("SELECT clock_timestamp()"))[0][0]
        return instant


Start = Callable[..., Awaitable[Process]]


@asynccontextmanager
async def process(
    postgres_url: str, redis_url: str, dev: bool = True, accept: AcceptWindow | None = None, session: str = ""
) -> AsyncGenerator[Process]:
    """Builds a process as wiring does. `session` is a setting (name=value) of its commits' sessions."""
    engine = connect.engine(postgres_url, 3)
    joint = "&" if "?" in postgres_url else "?"
    pool = await connect.commit_pool(postgres_url + (joint + session if session else ""), 6)
    keys = PostgresKeys(engine)
    if not await keys.list(TENANT):
        await keys.add(TENANT, "tests", new_key())
    ledger, usage = PostgresLedger(pool), PostgresUsage(engine)
    catalogs, customers = PostgresCatalogs(engine), PostgresCustomers(engine)
    directory = Directory(catalogs, customers, keys, make_on_first_use=dev)
    view = RedisView(redis_url, keys.identity)
    await view.start()
    view.trust()  # nothing was recorded yet that it could have missed
    catch_up = CatchUp(ledger, view)
    lanes = Lanes(UsageCommitter(ledger, directory, accept or AcceptWindow(), catch_up), view)
    record, first = RecordUsage(lanes, directory), FirstDecisions(directory, ledger)
    try:
        yield Process(
            engine, pool, view, directory, ledger, usage, record,
            CheckQuota(directory, ledger, view, catch_up), ApplyCatalog(catalogs, directory),
            ManageCustomers(customers, directory, catch_up),
            SummarizeUsage(directory, PostgresSummaries(engine), ledger, catch_up),
            ListEvents(directory, usage), ListLimits(directory, ledger, catch_up), SweepView(usage, view), catch_up,
            ConsumeQuota(lanes, directory, first, Refusals(ledger)), Reservations(lanes, directory, ledger, first),
            Leases(lanes, directory, ledger, first), due_holds(ledger, lanes),
            ExplainDecision(directory, PostgresExplain(engine)), ChangeTerms(customers, directory, catch_up),
            ListLimitEvents(directory, PostgresLimitEvents(engine)),
            Grants(lanes, directory, PostgresGrants(engine)), due_grants(ledger, lanes),
            CorrectUsage(lanes, directory, PostgresCorrections(engine)), UsageHistory(PostgresCorrections(engine)),
            ManageBackfills(PostgresBackfills(engine), directory, accept or AcceptWindow()),
            ApplyBackfills(PostgresBackfillQueue(engine), lanes, directory),
        )  # fmt: skip
    finally:
        await lanes.drain()
        await view.stop()
        pool.terminate()
        await engine.dispose()


async def heard() -> None:
    """Waits until word of what one process published has reached the others: it travels behind the answer."""
    await asyncio.sleep(0.02)


async def settle(processes: Sequence[Process]) -> None:
    """All processes hear that definitions changed, as the listener would tell them."""
    for one in processes:
        one.directory.forget_all()
