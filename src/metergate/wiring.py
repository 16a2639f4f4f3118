"""The one place that builds everything and joins the rooms."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import connect, migrate
from metergate.adapters.postgres.backfill import PostgresBackfillQueue, PostgresBackfills
from metergate.adapters.postgres.corrections import PostgresCorrections
from metergate.adapters.postgres.customer_erase import PostgresErasures
from metergate.adapters.postgres.customer_export import PostgresExports
from metergate.adapters.postgres.customer_moves import PostgresMoves
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.deliveries import PostgresDeliveries
from metergate.adapters.postgres.endpoints import PostgresEndpoints
from metergate.adapters.postgres.explain import PostgresExplain
from metergate.adapters.postgres.grants import PostgresGrants
from metergate.adapters.postgres.health import PostgresHealth
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.adapters.postgres.limit_events import PostgresLimitEvents
from metergate.adapters.postgres.listen import DefinitionListener
from metergate.adapters.postgres.queues import PostgresQueues
from metergate.adapters.postgres.reconcile import Reconciler
from metergate.adapters.postgres.retention import PostgresMonths
from metergate.adapters.postgres.summaries import PostgresSummaries
from metergate.adapters.postgres.upkeep import Upkeep
from metergate.adapters.postgres.usage import PostgresUsage
from metergate.adapters.postgres.watch import PostgresWatch
from metergate.adapters.redis.view import RedisView
from metergate.adapters.webhook.metrics import TALLY
from metergate.adapters.webhook.sender import WebhookSender
from metergate.app import clock
from metergate.app.access.authenticate import Authenticate
from metergate.app.backfill.apply import ApplyBackfills
from metergate.app.backfill.manage import ManageBackfills
from metergate.app.catalog.apply import ApplyCatalog
from metergate.app.catch_up import CatchUp
from metergate.app.customer.erase import EraseCustomers
from metergate.app.customer.export import ExportCustomer
from metergate.app.customer.grants import Grants
from metergate.app.customer.manage import ManageCustomers
from metergate.app.customer.merge import MergeCustomers
from metergate.app.customer.move import MoveSubjects
from metergate.app.customer.terms import ChangeTerms
from metergate.app.directory import Directory
from metergate.app.due import WhatIsDue, due_grants, due_holds
from metergate.app.health import unwell
from metergate.app.notify.deliver import Deliver
from metergate.app.notify.keep_house import LookAfterOutbox
from metergate.app.notify.manage import ManageEndpoints
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.quota.check import CheckQuota
from metergate.app.quota.consume import ConsumeQuota
from metergate.app.quota.decisions import FirstDecisions
from metergate.app.quota.explain import ExplainDecision
from metergate.app.quota.lease import Leases
from metergate.app.quota.limit_events import ListLimitEvents
from metergate.app.quota.list_limits import ListLimits
from metergate.app.quota.refusals import Refusals
from metergate.app.quota.reserve import Reservations
from metergate.app.reconcile import ReconcileUsage
from metergate.app.retention import KeepRetention, Plan, Policy
from metergate.app.stores import StoredKey
from metergate.app.sweep import SweepView
from metergate.app.tokens import Sealer
from metergate.app.usage.commit import UsageCommitter
from metergate.app.usage.correct import CorrectUsage
from metergate.app.usage.history import UsageHistory
from metergate.app.usage.lane import Lanes
from metergate.app.usage.list_events import ListEvents
from metergate.app.usage.record import RecordUsage
from metergate.app.usage.summarize import SummarizeUsage
from metergate.app.usage.watch import Watching, WatchUsage
from metergate.domain import period
from metergate.domain.access import Principal, new_key, parse_key
from metergate.domain.catalog import Catalog
from metergate.domain.news import BackOff
from metergate.domain.usage import AcceptWindow
from metergate.http.health import HealthMetrics
from metergate.http.server import HttpServer
from metergate.rpc.backfill import BackfillService
from metergate.rpc.call import Call, Failure, Method
from metergate.rpc.catalog import CatalogService
from metergate.rpc.corrections import CorrectionService
from metergate.rpc.customer import CustomerService
from metergate.rpc.customer_data import CustomerDataService
from metergate.rpc.customer_terms import TermsService
from metergate.rpc.errors import to_failure
from metergate.rpc.grants import GrantService
from metergate.rpc.interceptors.admit import Admission
from metergate.rpc.interceptors.authenticate import authenticate
from metergate.rpc.interceptors.errors import errors
from metergate.rpc.interceptors.observe import observe
from metergate.rpc.interceptors.validate import validate
from metergate.rpc.methods import methods
from metergate.rpc.notification import NotificationService
from metergate.rpc.quota.check import CheckService
from metergate.rpc.quota.consume import ConsumeService
from metergate.rpc.quota.explain import ExplainService
from metergate.rpc.quota.lease import LeaseService
from metergate.rpc.quota.limit_events import LimitEventService
from metergate.rpc.quota.reserve import ReserveService
from metergate.rpc.reconcile import ReconcileService
from metergate.rpc.server import GrpcServer
from metergate.rpc.summary import SummaryService
from metergate.rpc.usage import UsageService
from metergate.rpc.watch import WatchService
from metergate.settings import Settings
from metergate.workers.loop import Loop

DEV_TENANT = "dev"
_SWEEP_SECONDS = 0.2  # between looks whether a sweep is due
_EXPIRE_SECONDS = 0.5
_UPKEEP_SECONDS = 3600.0
_HEALTH_SECONDS = 60.0
_ERASE_SECONDS = 30.0
_WEBHOOK_SECONDS = 1.0
_WEBHOOK_CONNECTIONS = 3
_STAND_SECONDS = 15.0  # between looks how the queues of webhooks stand
_TURN_AWAY_SECONDS = 0.3  # for which a server that stops still says so
_GOODBYE_SECONDS = 0.5  # until what streams without end (a watched health) is cut off
_CLOCK_SKEW_MOST = 2.0  # seconds; more makes advice about windows wrong at their borders


@dataclass(slots=True)
class Running:
    """A server that serves: where, and until when."""

    grpc: str
    http: str
    stopped: asyncio.Event

    async def wait(self) -> None:
        """Returns when the server was told to stop."""
        await self.stopped.wait()


@asynccontextmanager
async def server(settings: Settings) -> AsyncGenerator[Running]:
    """Builds and starts a server; leaving the block drains and stops it: health off, intake closed, queue committed.

    Raises:
        OSError: an address cannot be bound.
        LedgerUnavailableError: Postgres cannot be reached at the start.
    """
    async with AsyncExitStack() as stack:
        parts = await _build(settings, stack)
        _start_workers(settings, parts, stack)
        # What is there by now stays; collecting it again and again would cost a tenth of the throughput.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        admission = parts.admission
        grpc = GrpcServer(parts.methods, reflect=settings.environment == "dev")
        http = HttpServer(parts.methods, Failure, Call, lambda: admission.open, to_failure)
        running = Running("", "", asyncio.Event())
        try:
            running.grpc = await grpc.start(settings.grpc)
            running.http = await http.start(settings.http)
            yield running
        finally:
            running.stopped.set()
            await grpc.set_health(False)
            admission.close()
            parts.watching.close()
            await _answered(admission, settings.drain_seconds)
            await asyncio.gather(grpc.stop(_GOODBYE_SECONDS), http.stop(_GOODBYE_SECONDS))
            await parts.lanes.drain()


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a server is made of."""

    methods: list[Method]
    admission: Admission
    watching: Watching
    lanes: Lanes
    holds: WhatIsDue
    grants: WhatIsDue
    backfills: ApplyBackfills
    erasures: EraseCustomers
    directory: Directory
    view: RedisView
    usage: PostgresUsage
    engine: AsyncEngine
    webhooks: _Webhooks


async def _build(settings: Settings, stack: AsyncExitStack) -> _Parts:
    """Opens the connections, which `stack` closes, and joins the rooms."""
    engine = connect.engine(settings.postgres_url, settings.postgres_query_connections)
    stack.push_async_callback(engine.dispose)
    pool = await connect.commit_pool(settings.postgres_url, settings.postgres_commit_connections)
    stack.callback(pool.terminate)
    keys, usage = PostgresKeys(engine), PostgresUsage(engine)
    ledger, catalogs, customers = PostgresLedger(pool), PostgresCatalogs(engine), PostgresCustomers(engine)
    view = RedisView(settings.redis_url, keys.identity)
    await view.start()
    stack.push_async_callback(view.stop)

    directory = Directory(catalogs, customers, keys, make_on_first_use=settings.environment == "dev")
    catch_up = CatchUp(ledger, view)
    webhooks = await _webhooks(settings, engine, directory, stack)
    hurry = webhooks.deliver.hurry.set
    lanes = Lanes(UsageCommitter(ledger, directory, _accept(settings), catch_up, hurry), view)
    first = FirstDecisions(directory, ledger)
    record = RecordUsage(lanes, directory)
    watching = Watching(PostgresWatch(engine))
    list_limits, corrections = ListLimits(directory, ledger, catch_up), PostgresCorrections(engine)
    sealer = Sealer(await keys.secret())
    moves, erasures = PostgresMoves(engine), EraseCustomers(PostgresErasures(engine), directory, catch_up)
    admission = Admission(settings.calls_most, settings.calls_most_per_tenant)
    # What every call walks through, in this order.
    interceptors = [
        ("observe", observe),
        ("errors", errors),
        ("authenticate", authenticate(Authenticate(directory))),
        ("validate", validate),
        ("admit", admission.admit),
    ]
    servicers = [
        UsageService(record, ListEvents(directory, usage), list_limits, sealer),
        SummaryService(SummarizeUsage(directory, PostgresSummaries(engine), ledger, catch_up), sealer),
        WatchService(WatchUsage(directory, watching)),
        ReconcileService(ReconcileUsage(directory, Reconciler(engine), view, view), sealer),
        CheckService(CheckQuota(directory, ledger, view, catch_up), list_limits, sealer),
        ConsumeService(ConsumeQuota(lanes, directory, first, Refusals(ledger)), sealer),
        ReserveService(Reservations(lanes, directory, ledger, first), sealer),
        LeaseService(Leases(lanes, directory, ledger, first), sealer),
        ExplainService(ExplainDecision(directory, PostgresExplain(engine)), sealer),
        CatalogService(ApplyCatalog(catalogs, directory), directory),
        LimitEventService(ListLimitEvents(directory, PostgresLimitEvents(engine)), sealer),
        CustomerService(ManageCustomers(customers, directory, catch_up), sealer),
        TermsService(ChangeTerms(customers, directory, catch_up)),
        GrantService(Grants(lanes, directory, PostgresGrants(engine)), sealer),
        NotificationService(webhooks.manage, sealer),
        CorrectionService(CorrectUsage(lanes, directory, corrections), UsageHistory(corrections), sealer),
        BackfillService(ManageBackfills(PostgresBackfills(engine), directory, _accept(settings)), sealer),
        CustomerDataService(
            MoveSubjects(moves, directory, catch_up),
            MergeCustomers(moves, directory, catch_up),
            ExportCustomer(PostgresExports(engine)),
            erasures,
            sealer,
        ),
    ]
    return _Parts(
        methods(servicers, interceptors), admission, watching, lanes, due_holds(ledger, lanes),
        due_grants(ledger, lanes), ApplyBackfills(PostgresBackfillQueue(engine), lanes, directory), erasures,
        directory, view, usage, engine, webhooks,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Webhooks:
    """What sends news."""

    manage: ManageEndpoints
    deliver: Deliver
    looks_after: LookAfterOutbox


async def _webhooks(settings: Settings, engine: AsyncEngine, directory: Directory, stack: AsyncExitStack) -> _Webhooks:
    """Deliveries have connections of their own: neither commits nor queries wait for them."""
    pool = await connect.commit_pool(settings.postgres_url, _WEBHOOK_CONNECTIONS)
    stack.callback(pool.terminate)
    sender = WebhookSender(settings.webhook_allow_private)
    stack.push_async_callback(sender.close)
    deliveries = PostgresDeliveries(engine)
    manage = ManageEndpoints(PostgresEndpoints(engine), deliveries, directory, sender, settings.webhook_allow_private)
    first, longest = settings.webhook_retry_seconds, settings.webhook_retry_most_seconds
    back_off = BackOff(int(first * period.SECOND), int(longest * period.SECOND), settings.webhook_tries)
    deliver = Deliver(PostgresQueues(pool), sender, manage.turn_off, back_off, TALLY)
    stack.push_async_callback(deliver.stop)
    keep_days, dead_days = settings.outbox_keep_days, settings.dead_letters_keep_days
    return _Webhooks(manage, deliver, LookAfterOutbox(deliveries, TALLY, keep_days, dead_days))


def _accept(settings: Settings) -> AcceptWindow:
    return AcceptWindow(settings.accept_days * period.DAY, settings.accept_ahead_seconds * period.SECOND)


def _start_workers(settings: Settings, parts: _Parts, stack: AsyncExitStack) -> None:
    """Starts the loops and the listener, which `stack` stops."""

    async def missed() -> None:
        parts.directory.forget_all()
        await parts.view.reconsider()

    listener = DefinitionListener(settings.postgres_url, parts.directory.forget, missed)
    sweep, upkeep = SweepView(parts.usage, parts.view), Upkeep(parts.engine, _accept(settings).age)
    retention, watched = _retention(settings, parts.engine), _watched(settings, parts.engine, stack)
    deliver, outbox = parts.webhooks.deliver, parts.webhooks.looks_after
    for worker in (
        Loop("sweep", _SWEEP_SECONDS, sweep.sweep),
        Loop("expire", _EXPIRE_SECONDS, parts.holds.begin),
        Loop("grants", _EXPIRE_SECONDS, parts.grants.begin),
        Loop("erase", _ERASE_SECONDS, parts.erasures.go_on),
        Loop("backfill", _EXPIRE_SECONDS, parts.backfills.work),
        Loop("upkeep", _UPKEEP_SECONDS, upkeep.keep_house),
        Loop("retention", _UPKEEP_SECONDS, retention.keep),
        Loop("health", _HEALTH_SECONDS, watched),
        Loop("webhooks", _WEBHOOK_SECONDS, deliver.begin, deliver.hurry),
        Loop("outbox", _UPKEEP_SECONDS, outbox.forget),
        Loop("queues", _STAND_SECONDS, outbox.tell),
        listener,
    ):
        worker.start()
        stack.push_async_callback(worker.stop)


def _watched(settings: Settings, engine: AsyncEngine, stack: AsyncExitStack) -> Callable[[], Awaitable[None]]:
    """Shows the health of the tables as metrics, while the server runs."""
    health, metrics = PostgresHealth(engine, _accept(settings).age), HealthMetrics()
    REGISTRY.register(metrics)
    stack.callback(REGISTRY.unregister, metrics)

    async def look() -> None:
        metrics.readings = await health.readings()

    return look


def _retention(settings: Settings, engine: AsyncEngine) -> KeepRetention:
    folder = Path(settings.events_export_dir) if settings.events_export_dir else None
    policy = Policy(
        settings.events_keep_months, settings.history_keep_months, folder is not None, _accept(settings).age
    )
    return KeepRetention(PostgresMonths(engine, folder), policy)


async def retention_plan(settings: Settings) -> list[Plan] | None:
    """What `retention_run` would drop, and why the rest is kept; None while another process is at it."""
    async with _engine(settings) as engine:
        return await _retention(settings, engine).plan()


async def retention_run(settings: Settings) -> list[date] | None:
    """Drops what is due; the months that went, None while another process is at it."""
    async with _engine(settings) as engine:
        return await _retention(settings, engine).run()


async def _answered(admission: Admission, seconds: float) -> None:
    """Waits until calls are answered. gRPC breaks off what is still on its way to a server that it stops (CANCELLED),
    so calls that come meanwhile hear for a moment longer that the server is stopping (UNAVAILABLE)."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    await asyncio.sleep(min(seconds, _TURN_AWAY_SECONDS))
    # Looked at now and then, once at the end of a process: an event would cost each call.
    while admission.in_flight and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def bootstrap(settings: Settings, existing_key: str | None = None, catalog: Catalog | None = None) -> str:
    """Makes the dev tenant with a catalog where it has none, and returns a key for it: the existing one if it works."""
    async with _engine(settings) as engine:
        keys, catalogs = PostgresKeys(engine), PostgresCatalogs(engine)
        key = parse_key(existing_key) if existing_key else None
        stored = await keys.get(key.id) if key else None
        works = key and stored and stored.tenant == DEV_TENANT and stored.revoked_at is None
        if not (works and key and stored and key.proves(stored.secret_hash)):
            key = new_key()
            await keys.add(DEV_TENANT, "dev", key)
        if catalog is not None and not (await catalogs.load(DEV_TENANT)).version:
            directory = Directory(catalogs, PostgresCustomers(engine), keys, make_on_first_use=False)
            principal = Principal(DEV_TENANT, "dev", "bootstrap")
            await ApplyCatalog(catalogs, directory).apply(principal, catalog, dry_run=False)
        return str(key)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key without its secret; times in RFC 3339, "" = none."""

    id: str
    tenant: str
    service: str
    created: str
    expires: str
    revoked: str


async def create_key(settings: Settings, tenant: str, service: str) -> str:
    """A new key for a service of a tenant, which is made where there is none; shown this once."""
    key = new_key()
    async with _engine(settings) as engine:
        await PostgresKeys(engine).add(tenant, service, key)
    return str(key)


async def list_keys(settings: Settings, tenant: str) -> list[KeyInfo]:
    """A tenant's keys, oldest first."""
    async with _engine(settings) as engine:
        return [_info(stored) for stored in await PostgresKeys(engine).list(tenant)]


async def revoke_key(settings: Settings, key_id: str) -> bool:
    """Ends a key; servers hear of it at once. False when there is none of that id."""
    async with _engine(settings) as engine:
        return await PostgresKeys(engine).revoke(key_id)


def _info(stored: StoredKey) -> KeyInfo:
    def shown(instant: int | None) -> str:
        return "" if instant is None else period.to_text(instant)

    return KeyInfo(
        stored.id, stored.tenant, stored.service, shown(stored.created_at), shown(stored.expires_at),
        shown(stored.revoked_at),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `cure` says what to do, and is empty where all is well."""

    name: str
    ok: bool
    detail: str
    cure: str = ""

    @classmethod
    def of(cls, name: str, ok: bool, detail: str, cure: str) -> Finding:
        """The finding, with its cure where it needs one."""
        return cls(name, ok, detail, "" if ok else cure)


async def diagnose(settings: Settings) -> list[Finding]:
    """Postgres, clock, schema, Redis, and whether counters equal the ledger."""
    async with _engine(settings) as engine:
        try:
            began = time.time()
            async with engine.connect() as connection:
                now: int = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
                version = (await connection.execute(text("SHOW server_version"))).scalar_one()
        except (OSError, LedgerUnavailableError) as error:
            return [Finding("postgres", False, str(error), "start Postgres, or name it with --postgres URL")]
        findings = [Finding("postgres", True, f"version {version}"), _clock(now, began)]
        current, newest = await migrate.revisions(settings.postgres_url)
        at_head = current == newest
        stands = f"revision {current}, newest is {newest}"
        findings.append(Finding.of("schema", at_head, stands, "run `metergate migrate`"))
        findings.append(await _redis(settings, PostgresKeys(engine)) if at_head else _skipped("redis"))
        findings += await _tables(settings, engine) if at_head else [_skipped("tables")]
        findings.append(await _counters(engine) if at_head else _skipped("counters = ledger"))
        return findings


def _clock(now: int, began: float) -> Finding:
    skew = abs(now / period.SECOND - (began + time.time()) / 2)
    cure = "run an NTP client on both machines"
    return Finding.of("clock", skew < _CLOCK_SKEW_MOST, f"{skew * 1000:.0f} ms from Postgres's", cure)


def _skipped(name: str) -> Finding:
    return Finding(name, False, "not looked at before the schema is right", "run `metergate migrate`")


async def _redis(settings: Settings, keys: PostgresKeys) -> Finding:
    view = RedisView(settings.redis_url, keys.identity)
    await view.start()
    try:
        cure = "start Redis, or name it with --redis URL; until then Postgres answers"
        return Finding.of("redis", view.up, "reached" if view.up else "cannot be reached", cure)
    finally:
        await view.stop()


async def _tables(settings: Settings, engine: AsyncEngine) -> list[Finding]:
    found = unwell(await PostgresHealth(engine, _accept(settings).age).readings())
    all_well = Finding("tables", True, "vacuumed, indexed and partitioned as they should be")
    return [Finding("tables", False, said, cure) for said, cure in found] or [all_well]


async def _counters(engine: AsyncEngine) -> Finding:
    began = clock.now()
    differences = await Reconciler(engine).differences()
    seconds = (clock.now() - began) / period.SECOND
    if not differences:
        return Finding("counters = ledger", True, f"events, ids, rollups and counters agree ({seconds:.1f} s)")
    cure = "report this: it must never happen"
    return Finding("counters = ledger", False, f"{len(differences)} differences, first: {differences[0]}", cure)


@asynccontextmanager
async def _engine(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    engine = connect.engine(settings.postgres_url, 2)
    try:
        yield engine
    finally:
        await engine.dispose()
