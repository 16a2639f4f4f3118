"""Closing periods without a server, as an operator does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.billing_usage import PostgresBilling
from metergate.adapters.postgres.closing import PostgresClosing
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.adapters.redis.view import RedisView
from metergate.app.billing.close_batch import Closed
from metergate.app.billing.close_period import ClosePeriods
from metergate.app.billing.close_ports import Failure
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.settings import Settings

_CONNECTIONS = 3  # of a worker: what it has claimed, what it reads, what it saves


@asynccontextmanager
async def _closing(settings: Settings, workers: int) -> AsyncGenerator[ClosePeriods]:
    engine = connect.engine(settings.postgres_url, _CONNECTIONS * workers)
    pool = await connect.commit_pool(settings.postgres_url, 2)
    keys = PostgresKeys(engine)
    view = RedisView(settings.redis_url, keys.identity)
    await view.start()
    directory = Directory(PostgresCatalogs(engine), PostgresCustomers(engine), keys, make_on_first_use=False)
    catch_up = CatchUp(PostgresLedger(pool), view)
    try:
        yield ClosePeriods(PostgresClosing(engine), PostgresBilling(engine), directory, catch_up, workers)
    finally:
        await view.stop()
        pool.terminate()
        await engine.dispose()


async def close_periods(
    settings: Settings,
    tenant: str | None,
    subscriptions: Collection[str] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Closed:
    """Closes all that is due by so many workers of this process; what they did together.

    Raises:
        MetergateError: PERIOD_OPEN, LEDGER_UNAVAILABLE.
    """
    done = [0] * workers

    def told(place: int) -> Callable[[int, int], None]:
        def tell(closed: int, total: int) -> None:
            done[place] = closed
            if progress:
                progress(sum(done), max(total, sum(done)))

        return tell

    async with _closing(settings, workers) as verb:
        all_ = await asyncio.gather(*[verb.close(tenant, None, subscriptions, told(place)) for place in range(workers)])
    whole = Closed()
    for one in all_:
        whole.periods, whole.invoices = whole.periods + one.periods, whole.invoices + one.invoices
        whole.failed += one.failed
    return whole


async def billing_failures(settings: Settings, tenant: str) -> list[Failure]:
    """What could not be closed, the latest first."""
    async with _closing(settings, 1) as verb:
        return await verb.failures(tenant)
