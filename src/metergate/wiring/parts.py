"""The parts of a server: connections are opened and the rooms are joined here."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import connect
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
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.adapters.postgres.limit_events import PostgresLimitEvents
from metergate.adapters.postgres.queues import PostgresQueues
from metergate.adapters.postgres.reconcile import Reconciler
from metergate.adapters.postgres.summaries import PostgresSummaries
from metergate.adapters.postgres.usage import PostgresUsage
from metergate.adapters.postgres.watch import PostgresWatch
from metergate.adapters.redis.view import RedisView
from metergate.adapters.webhook.metrics import TALLY
from metergate.adapters.webhook.sender import WebhookSender
from metergate.app.access.authenticate import Authenticate
from metergate.app.backfill.apply import ApplyBackfills
from metergate.app.backfill.manage import ManageBackfills
from metergate.app.catalog.apply import ApplyCatalog
from metergate.app.catch_up import CatchUp
from metergate.app.customer.erase import EraseCustomers
from metergate.app.customer.export import ExportCustomer
from metergate.app.customer.features import CheckFeature
from metergate.app.customer.grants import Grants
from metergate.app.customer.manage import ManageCustomers
from metergate.app.customer.merge import MergeCustomers
from metergate.app.customer.move import MoveSubjects
from metergate.app.customer.terms import ChangeTerms
from metergate.app.directory import Directory
from metergate.app.due import WhatIsDue, due_grants, due_holds
from metergate.app.notify.deliver import Deliver
from metergate.app.notify.keep_house import LookAfterOutbox
from metergate.app.notify.manage import ManageEndpoints
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
from metergate.domain.news import BackOff
from metergate.rpc.backfill import BackfillService
from metergate.rpc.call import Method
from metergate.rpc.catalog import CatalogService
from metergate.rpc.corrections import CorrectionService
from metergate.rpc.customer import CustomerService
from metergate.rpc.customer_data import CustomerDataService
from metergate.rpc.customer_features import FeatureService
from metergate.rpc.customer_terms import TermsService
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
from metergate.rpc.summary import SummaryService
from metergate.rpc.usage import UsageService
from metergate.rpc.watch import WatchService
from metergate.settings import Settings
from metergate.wiring.billing import BillingParts, billing
from metergate.wiring.common import accept_window

_WEBHOOK_CONNECTIONS = 3


@dataclass(frozen=True, slots=True)
class Parts:
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
    webhooks: Webhooks
    billing: BillingParts


async def build(settings: Settings, stack: AsyncExitStack) -> Parts:
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
    lanes = Lanes(UsageCommitter(ledger, directory, accept_window(settings), catch_up, hurry), view)
    first = FirstDecisions(directory, ledger)
    record = RecordUsage(lanes, directory)
    watching = Watching(PostgresWatch(engine))
    list_limits, corrections = ListLimits(directory, ledger, catch_up), PostgresCorrections(engine)
    sealer, check = Sealer(await keys.secret()), CheckQuota(directory, ledger, view, catch_up)
    moves, erasures = PostgresMoves(engine), EraseCustomers(PostgresErasures(engine), directory, catch_up)
    bills = billing(engine, directory, catch_up, stack)
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
        CheckService(check, list_limits, sealer),
        ConsumeService(ConsumeQuota(lanes, directory, first, Refusals(ledger)), sealer),
        ReserveService(Reservations(lanes, directory, ledger, first), sealer),
        LeaseService(Leases(lanes, directory, ledger, first), sealer),
        ExplainService(ExplainDecision(directory, PostgresExplain(engine)), sealer),
        CatalogService(ApplyCatalog(catalogs, directory), directory),
        LimitEventService(ListLimitEvents(directory, PostgresLimitEvents(engine)), sealer),
        CustomerService(ManageCustomers(customers, directory, catch_up), sealer),
        TermsService(ChangeTerms(customers, directory, catch_up)),
        FeatureService(CheckFeature(directory, check)),
        GrantService(Grants(lanes, directory, PostgresGrants(engine)), sealer),
        NotificationService(webhooks.manage, sealer),
        CorrectionService(CorrectUsage(lanes, directory, corrections), UsageHistory(corrections), sealer),
        BackfillService(ManageBackfills(PostgresBackfills(engine), directory, accept_window(settings)), sealer),
        CustomerDataService(
            MoveSubjects(moves, directory, catch_up),
            MergeCustomers(moves, directory, catch_up),
            ExportCustomer(PostgresExports(engine)),
            erasures,
            sealer,
        ),
        *bills.servicers(sealer),
    ]
    return Parts(
        methods(servicers, interceptors), admission, watching, lanes, due_holds(ledger, lanes),
        due_grants(ledger, lanes), ApplyBackfills(PostgresBackfillQueue(engine), lanes, directory), erasures,
        directory, view, usage, engine, webhooks, bills,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What sends news."""

    manage: ManageEndpoints
    deliver: Deliver
    looks_after: LookAfterOutbox


async def _webhooks(settings: Settings, engine: AsyncEngine, directory: Directory, stack: AsyncExitStack) -> Webhooks:
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
    return Webhooks(manage, deliver, LookAfterOutbox(deliveries, TALLY, keep_days, dead_days))
