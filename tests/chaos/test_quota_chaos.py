"""P2 under SIGKILL, SIGSTOP and a Redis that comes and goes: limits are used to the last unit and never passed.

METERGATE_CHAOS_SECONDS makes it longer, METERGATE_TEST_SEED repeats its choices.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from metergate.adapters.embedded.postgres import EmbeddedPostgres
from metergate.adapters.embedded.redis import EmbeddedRedis
from metergate.adapters.postgres import migrate
from metergate.v1 import catalog_pb2, customer_pb2, quota_pb2
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Proxy
from tests.chaos.quota_clients import KINDS, Clients, Said, clients
from tests.chaos.quota_worker import METER, SECONDS, SIZES, Worker, customers, event, size_of
from tests.chaos.servers import StartServer
from tests.chaos.tenants import new_tenant
from tests.databases import elsewhere
from tests.server import ServerProcess

EACH = 4  # client processes of each kind
STRAGGLERS = 4  # seconds after which no server still works for a client that was killed


class Chaos:
    """What is done to whom."""

    def __init__(
        self, servers: Sequence[ServerProcess], postgres: EmbeddedPostgres, cache: EmbeddedRedis, proxy: Proxy,
        workers: Clients, rng: random.Random,
    ) -> None:  # fmt: skip
        self.servers, self.postgres, self.cache, self.proxy = servers, postgres, cache, proxy
        self.workers, self.rng, self.ledger = workers, rng, Ledger(postgres.url)
        self.done: Counter[str] = Counter()
        self._troubled: set[object] = set()
        self._mishaps: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (4, self.kill_client), (3, self.stop_client), (3, self.kill_server), (3, self.stop_server),
            (1, self.kill_postgres), (2, self.flush_redis), (1, self.kill_redis), (1, self.stop_redis),
            (1, self.blackhole_redis), (2, self.forfeit),
        ]  # fmt: skip

    async def reign(self, seconds: float) -> None:
        """One mishap after another, some at the same time; all is mended at the end."""
        until = time.monotonic() + seconds
        weights, mishaps = zip(*self._mishaps, strict=True)
        tasks: list[asyncio.Task[None]] = []
        for _, mishap in self._mishaps:  # each at least once
            tasks.append(asyncio.create_task(self._one(mishap)))
            await asyncio.sleep(self.rng.uniform(0.5, 1.5))
        while time.monotonic() < until:
            (mishap,) = self.rng.choices(mishaps, weights)
            tasks.append(asyncio.create_task(self._one(mishap)))
            await asyncio.sleep(self.rng.uniform(0.2, 1.5))
        await asyncio.gather(*tasks)

    async def _one(self, mishap: Callable[[], Awaitable[None]]) -> None:
        self.done[getattr(mishap, "__name__", "")] += 1
        await mishap()

    async def _pause(self, most: float) -> None:
        await asyncio.sleep(self.rng.uniform(0.1, most))

    async def kill_client(self) -> None:
        await asyncio.to_thread(self.workers.kill, self.rng, self.rng.choice(["", "hold"]))

    async def stop_client(self) -> None:
        name = self.rng.choice(sorted(self.workers.living))
        self.workers.signal(name, signal.SIGSTOP)
        await self._pause(2)
        self.workers.signal(name, signal.SIGCONT)

    async def kill_server(self) -> None:
        if (server := self._take(self.servers)) is not None:
            server.kill()
            await self._pause(1)
            await asyncio.to_thread(start_again, server)
            self._troubled.discard(server)

    async def stop_server(self) -> None:
        if (server := self._take(self.servers)) is not None:
            os.kill(server.pid, signal.SIGSTOP)
            await self._pause(2)
            os.kill(server.pid, signal.SIGCONT)
            self._troubled.discard(server)

    async def kill_postgres(self) -> None:
        if self._take([self.postgres]) is not None:
            self.postgres.kill()
            await asyncio.to_thread(self.postgres.start)
            self._troubled.discard(self.postgres)

    async def flush_redis(self) -> None:
        if self._take([self.cache]) is not None:
            await asyncio.to_thread(flush, self.cache.url)
            self._troubled.discard(self.cache)

    async def kill_redis(self) -> None:
        if self._take([self.cache]) is not None:
            self.cache.kill()
            await self._pause(1)
            await asyncio.to_thread(self.cache.start)
            self._troubled.discard(self.cache)

    async def stop_redis(self) -> None:
        if self._take([self.cache]) is not None:
            assert self.cache.pid is not None
            os.kill(self.cache.pid, signal.SIGSTOP)
            await self._pause(2)
            os.kill(self.cache.pid, signal.SIGCONT)
            self._troubled.discard(self.cache)

    async def blackhole_redis(self) -> None:
        if self._take([self.cache]) is not None:
            self.proxy.dark = True
            await self._pause(2)
            self.proxy.dark = False
            self._troubled.discard(self.cache)

    async def forfeit(self) -> None:
        """The time of leases of killed holders runs out."""
        try:
            await self.ledger.fetch(
                "UPDATE hold SET end_at = now() - interval '1 minute' "
                "WHERE kind = 'lease' AND (state = 'open' OR leased > 0) AND holder = ANY($1)",
                list(self.workers.killed),
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass  # Postgres has been killed meanwhile

    def _take(self, some: Sequence[Any]) -> Any:
        """One of these to which nothing is being done; None where there is none."""
        free = [one for one in some if one not in self._troubled]
        if not free:
            return None
        one = self.rng.choice(free)
        self._troubled.add(one)
        return one


def start_again(server: ServerProcess, seconds: float = 60) -> None:
    """As a supervisor does: a server that finds no Postgres when it starts ends, and is started again."""
    until = time.monotonic() + seconds
    while True:
        try:
            server.start()
        except AssertionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


def flush(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()


async def prepare(caller: Worker) -> None:
    """A plan for each size, and the customers."""
    year = catalog_pb2.PERIOD_YEAR
    plans = [
        catalog_pb2.Plan(name=name, limits=[catalog_pb2.Limit(name=name, meter=METER, max=str(size), period=year)])
        for name, size in SIZES.items()
    ]
    catalog = catalog_pb2.Catalog(meters=[catalog_pb2.Meter(name=METER)], plans=plans, default_plan="one")
    await caller.call("apply", catalog_pb2.ApplyCatalogRequest(catalog=catalog))
    for customer in customers():
        made = customer_pb2.Customer(id=customer, plan=customer.partition("-")[0])
        await caller.call("customer", customer_pb2.CreateCustomerRequest(customer=made))


async def drain(caller: Worker, customer: str) -> None:
    """Consumes what is left: by large amounts, and then one by one."""
    amount = size_of(customer)
    while amount:
        id_ = caller.id()
        caller.write("try", id=id_, customer=customer, amount=amount)
        answer = await caller.call("consume", quota_pb2.ConsumeQuotaRequest(events=[event(id_, customer, amount)]))
        if answer.decision.allowed:
            caller.write("ok", id=id_)
        else:
            amount //= 2


async def end_what_was_left(ledger: Ledger, killed: Sequence[str], seconds: float = 30) -> None:
    """The time of what killed clients left behind is over; only they left anything."""
    ((others,),) = await ledger.fetch(
        "SELECT count(*) FROM hold WHERE kind = 'lease' AND reserved + leased + forfeited > 0 AND holder <> ALL($1)",
        killed,
    )
    assert others == 0, "a holder that came to an orderly end left something"
    await ledger.fetch("UPDATE hold SET end_at = now() - interval '1 minute' WHERE state = 'open' OR leased > 0")
    until = time.monotonic() + seconds
    while await ledger.fetch("SELECT FROM hold WHERE reserved + leased > 0 LIMIT 1"):
        assert time.monotonic() < until, "what was due did not end"
        await asyncio.sleep(0.2)


async def assert_used_to_the_unit(ledger: Ledger, said: Said, killed: Sequence[str]) -> None:
    """Each limit is used to the last unit, but for what killed holders left unsaid, and by what was acknowledged."""
    events = {
        id_: (customer, int(amount)) for id_, customer, amount in
        await ledger.fetch("SELECT id, customer, amount FROM usage_event")
    }  # fmt: skip
    assert said.acknowledged <= events.keys(), "acknowledged and lost"
    assert {id_: said.tried.get(id_) for id_ in events} == events, "nobody asked for it"
    used = Counter[str]()
    for customer, amount in events.values():
        used[customer] += amount
    rows = await ledger.fetch("SELECT customer, used, reserved, leased, forfeited FROM usage_counter")
    found = {customer: tuple(int(figure) for figure in figures) for customer, *figures in rows}
    forfeited = {customer: figures[3] for customer, figures in found.items()}
    assert found == {customer: (used[customer], 0, 0, forfeited[customer]) for customer in customers()}
    whole = {customer: used[customer] + forfeited[customer] for customer in customers()}
    assert whole == {customer: size_of(customer) for customer in customers()}
    leases = await ledger.fetch("SELECT id, holder, settled, forfeited FROM hold WHERE kind = 'lease'")
    for id_, holder, settled, left in leases:
        spent = said.spent[id_]
        assert settled <= spent <= settled + left, (id_, holder, spent, settled, left)
        assert left == 0 or holder in killed, (id_, holder)
    assert said.spent.keys() <= {id_ for id_, *_ in leases}
    unknown = events.keys() - said.acknowledged
    drained = Counter[str]()
    for id_, (customer, amount) in events.items():
        drained[customer.partition("-")[0]] += 0 if id_.startswith("test-") else amount
    print(
        f"{len(events)} events, {len(unknown)} of them not acknowledged, {len(said.tried) - len(events)} never came; "
        f"{len(leases)} leases; clients used {dict(drained)}, forfeited {sum(forfeited.values())} "
        f"of {sum(map(size_of, customers()))}"
    )


@pytest.mark.slow
async def test_p2_limits_are_used_to_the_unit_and_never_passed(
    own_postgres: EmbeddedPostgres, own_redis: EmbeddedRedis, start_server: StartServer, tmp_path: Path,
    rng: random.Random,
) -> None:  # fmt: skip
    elsewhere(lambda: migrate.upgrade(own_postgres.url))
    port = int(own_redis.url.rpartition(":")[2].partition("/")[0])
    async with Proxy("127.0.0.1", port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        servers = await asyncio.gather(*(start_server(own_postgres.url, url) for _ in range(3)))
        _, key = await new_tenant(own_postgres.url)
        addresses = [server.grpc_url for server in servers]
        with clients(tmp_path / "clients", key, str(rng.random()), addresses) as workers:
            caller = Worker("test", str(tmp_path / "clients" / "test.log"), key, "", addresses)
            await prepare(caller)
            for kind in KINDS * EACH:
                workers.start(kind)
            chaos = Chaos(servers, own_postgres, own_redis, proxy, workers, rng)
            await chaos.reign(SECONDS)
            for _ in range(2):  # whose leases nobody has ended yet
                workers.kill(rng, "hold")
            ended = await asyncio.to_thread(workers.end, 60)
            assert not workers.said().wrong, (workers.said().wrong, workers.errors())
            assert workers.said().done == ended, workers.errors()
            print(f"{dict(chaos.done)}, {len(workers.killed)} clients killed")
            await asyncio.sleep(STRAGGLERS)
            ledger = chaos.ledger
            await end_what_was_left(ledger, workers.killed)
            for customer in customers():
                await drain(caller, customer)
            await assert_used_to_the_unit(ledger, workers.said(), workers.killed)
            assert await ledger.differences() == []
