"""Processes that deliver news, over a real Postgres whose clock may be moved, to real receivers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.deliveries import PostgresDeliveries
from metergate.adapters.postgres.endpoints import PostgresEndpoints
from metergate.adapters.postgres.queues import PostgresQueues
from metergate.adapters.webhook.sender import WebhookSender
from metergate.app.notify.deliver import Deliver
from metergate.app.notify.manage import ManageEndpoints
from metergate.app.notify.ports import Delivery, DeliveryQuery, Endpoint, Replay, State
from metergate.domain.news import BackOff, NewsKind
from tests.integration.processes import PRINCIPAL, Process

LOOPBACK = (ip_network("127.0.0.0/8"),)
ALL = tuple([kind.value for kind in NewsKind])


@dataclass
class Count:
    """`app.notify.ports.Tally`."""

    results: list[str] = field(default_factory=list)

    def ended(self, result: str) -> None:
        """Counts."""
        self.results.append(result)


@dataclass
class Post:
    """The verbs of one process."""

    one: Process
    pool: asyncpg.Pool[asyncpg.Record]
    engine: AsyncEngine
    sender: WebhookSender
    manage: ManageEndpoints
    queues: PostgresQueues
    deliver: Deliver
    store: PostgresDeliveries
    count: Count
    shifted: int = 0

    async def endpoint(self, url: str, *kinds: str) -> Endpoint:
        """Makes an endpoint of these kinds, by default for usage; this process knows of it."""
        made = await self.manage.create(PRINCIPAL, url, kinds or (NewsKind.RECORDED.value,), "")
        return made.endpoint

    async def deliveries(self, state: State | None = None, **fields: str) -> list[Delivery]:
        """What was begun, newest first."""
        query = DeliveryQuery(fields.get("endpoint"), fields.get("customer"), state, None, 1000)
        return list(await self.manage.deliveries(PRINCIPAL, query))

    async def replay(self, endpoint: Endpoint, customer: str | None = None) -> int:
        """Replays dead letters."""
        return await self.manage.replay(PRINCIPAL, Replay(endpoint.id, customer, None, None))

    async def later(self, by: int) -> None:
        """Moves the clock by which deliveries go, in microseconds. Needs `clock.make_shiftable` before the start."""
        self.shifted += by
        async with self.pool.acquire() as connection:
            await connection.execute("SELECT set_config('test.shift', $1, false)", str(self.shifted))


@asynccontextmanager
async def post(one: Process, postgres_url: str, back_off: BackOff | None = None) -> AsyncGenerator[Post]:
    """The verbs over one connection for deliveries, whose clock `Post.later` moves."""
    engine = connect.engine(postgres_url, 2)
    pool = await connect.commit_pool(postgres_url, 1)
    sender = WebhookSender(LOOPBACK, connect=2, whole=3)
    store, queues, count = PostgresDeliveries(engine), PostgresQueues(pool), Count()
    manage = ManageEndpoints(PostgresEndpoints(engine), store, one.directory, sender, LOOPBACK)
    deliver = Deliver(queues, sender, manage.turn_off, back_off or BackOff(), count)
    try:
        yield Post(one, pool, engine, sender, manage, queues, deliver, store, count)
    finally:
        await deliver.stop()
        await sender.close()
        pool.terminate()
        await engine.dispose()
