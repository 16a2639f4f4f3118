"""The loops that run beside the calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.health import PostgresHealth
from metergate.adapters.postgres.listen import DefinitionListener
from metergate.adapters.postgres.upkeep import Upkeep
from metergate.app.sweep import SweepView
from metergate.http.health import HealthMetrics
from metergate.settings import Settings
from metergate.wiring.common import accept_window, retention
from metergate.wiring.parts import Parts
from metergate.workers.loop import Loop

_SWEEP_SECONDS = 0.2  # between looks whether a sweep is due
_EXPIRE_SECONDS = 0.5
_UPKEEP_SECONDS = 3600.0
_HEALTH_SECONDS = 60.0
_ERASE_SECONDS = 30.0
_WEBHOOK_SECONDS = 1.0
_TURN_SECONDS = 0.5
_CLOSE_SECONDS = 2.0  # between looks for periods that are over, and for drafts that are due
_BUDGET_SECONDS = 1.0
_STAND_SECONDS = 15.0  # between looks how the queues of webhooks stand


def start_workers(settings: Settings, parts: Parts, stack: AsyncExitStack) -> None:
    """Starts the loops and the listener, which `stack` stops."""

    async def missed() -> None:
        parts.directory.forget_all()
        await parts.view.reconsider()

    listener = DefinitionListener(settings.postgres_url, parts.directory.forget, missed)
    sweep, upkeep = SweepView(parts.usage, parts.view), Upkeep(parts.engine, accept_window(settings).age)
    months, watched = retention(settings, parts.engine), _watched(settings, parts.engine, stack)
    deliver, outbox = parts.webhooks.deliver, parts.webhooks.looks_after
    for worker in (
        Loop("sweep", _SWEEP_SECONDS, sweep.sweep),
        Loop("expire", _EXPIRE_SECONDS, parts.holds.begin),
        Loop("grants", _EXPIRE_SECONDS, parts.grants.begin),
        Loop("erase", _ERASE_SECONDS, parts.erasures.go_on),
        Loop("turns", _TURN_SECONDS, parts.billing.turns.work),
        Loop("close", _CLOSE_SECONDS, parts.billing.periods.work),
        Loop("finalize", _CLOSE_SECONDS, parts.billing.due.work),
        Loop("budgets", _BUDGET_SECONDS, parts.billing.budgets.work),
        Loop("backfill", _EXPIRE_SECONDS, parts.backfills.work),
        Loop("upkeep", _UPKEEP_SECONDS, upkeep.keep_house),
        Loop("retention", _UPKEEP_SECONDS, months.keep),
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
    health, metrics = PostgresHealth(engine, accept_window(settings).age), HealthMetrics()
    REGISTRY.register(metrics)
    stack.callback(REGISTRY.unregister, metrics)

    async def look() -> None:
        metrics.readings = await health.readings()

    return look
