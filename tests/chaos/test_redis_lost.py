"""P4: whatever happens to Redis, usage goes on being recorded, and CheckQuota never forgets what was acknowledged.

Each customer has one writer, so that what CheckQuota must say of it is known to the unit: with the token of the last
write exactly what was acknowledged, and without one what was acknowledged a second before; a mishap's own time and a
second after it do not count as late.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import redis

from metergate.adapters.embedded.redis import EmbeddedRedis
from tests.chaos.client import Client, Used, usage
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Proxy
from tests.chaos.servers import StartServer
from tests.chaos.tenants import new_tenant

SECONDS = float(os.environ.get("METERGATE_CHAOS_SECONDS", "1.5"))
"""For how long usage goes on after each mishap; longer than `LATE`."""
CUSTOMERS = 12
SLOWER = 1.0  # seconds that a mishap of Redis may cost a call
LATE = 1.0  # seconds after which an answer without a token has caught up


@dataclass
class Account:
    """One customer, and what was acknowledged when."""

    name: str
    acknowledged: int = 0
    token: str = ""
    history: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])

    def acknowledge(self, amount: int, token: str) -> None:
        self.acknowledged += amount
        self.token = token
        self.history.append((time.monotonic(), self.acknowledged))

    def known_at(self, moment: float) -> int:
        """What was acknowledged by then."""
        return max(total for when, total in self.history if when <= moment)

    def missing_since(self, used: int) -> float:
        """When the oldest acknowledged usage that an answer left out was acknowledged."""
        return min((when for when, total in self.history if total > used), default=time.monotonic())


class Traffic:
    """Records and asks, through both servers in turn, and remembers what was not as promised."""

    def __init__(self, clients: list[Client], rng: random.Random) -> None:
        self.accounts = [Account(f"c{number}") for number in range(CUSTOMERS)]
        self.clients = clients
        self.rng = rng
        self.wrong: list[str] = []
        self.troubled = (math.inf, 0.0)  # from when to when the present mishap lasts
        self.slowest = self.latest = 0.0
        self.calls = self.from_view = 0

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Goes on in the background while the block, which is the mishap, runs, and `SECONDS` longer. Half of the
        customers write nothing after the mishap, so that no later write can mend what they lost."""
        quiet, over = asyncio.Event(), asyncio.Event()
        tasks = [
            asyncio.create_task(self._use(account, quiet if number % 2 else over, over))
            for number, account in enumerate(self.accounts)
        ]
        try:
            self.troubled = (time.monotonic(), math.inf)
            yield
            self.troubled = (self.troubled[0], time.monotonic())
            quiet.set()
            await asyncio.sleep(SECONDS)
        finally:
            quiet.set()
            over.set()
            await asyncio.gather(*tasks)

    async def _use(self, account: Account, written: asyncio.Event, over: asyncio.Event) -> None:
        while not over.is_set():
            if not written.is_set():
                await self.record(account)
            # A question with a token would have the ledger mend the view.
            await self.ask(account, with_token=not written.is_set() and self.rng.random() < 0.5)
            await asyncio.sleep(self.rng.uniform(0, 0.02))

    def least(self, account: Account, began: float) -> int:
        """The least that an answer without a token may say: what was acknowledged a second ago, or, during a mishap
        and for a second after it, what was acknowledged a second before it."""
        begin, end = self.troubled
        return account.known_at(min(began, begin if began < end + LATE else began) - LATE)

    async def record(self, account: Account) -> None:
        amount, began = self.rng.randint(1, 9), time.monotonic()
        try:
            answer = await self.rng.choice(self.clients).record(usage(account.name, amount=str(amount)))
        except grpc.aio.AioRpcError as error:
            self.wrong.append(f"recording failed: {error.code()} {error.details()}")
            return
        self._took(began, "recording")
        account.acknowledge(amount, answer.token)

    async def ask(self, account: Account, with_token: bool) -> Used:
        """Asks, and compares with what was acknowledged."""
        began = time.monotonic()
        used = await self.rng.choice(self.clients).used(account.name, account.token if with_token else "")
        self._took(began, "asking")
        self.from_view += used.from_view
        self.latest = max(self.latest, began - account.missing_since(used.used))
        least = account.acknowledged if with_token else self.least(account, began)
        if not least <= used.used <= account.acknowledged:
            kind = "with" if with_token else "without"
            late = began - account.missing_since(used.used)
            self.wrong.append(
                f"{account.name} {kind} a token: {used.used} instead of {account.acknowledged}, {late:.2f} s late"
            )
        return used

    def _took(self, began: float, what: str) -> None:
        took = time.monotonic() - began
        self.calls += 1
        self.slowest = max(self.slowest, took)
        if took > SLOWER + 2:  # what a busy machine may add
            self.wrong.append(f"{what} took {took:.2f} s")

    async def assert_right(self, mishap: str) -> None:
        """Every customer through every server, without the token and with it."""
        for account in self.accounts:
            for client in self.clients:
                used = await client.used(account.name)
                if used.used != account.acknowledged:
                    late = time.monotonic() - account.missing_since(used.used)
                    self.wrong.append(f"{account.name} at rest: {used} not {account.acknowledged}, {late:.2f} s late")
        for account in self.accounts:
            for client in self.clients:
                assert (await client.used(account.name, account.token)).used == account.acknowledged, mishap
        print(
            f"{mishap}: {self.calls} calls, slowest {self.slowest * 1000:.0f} ms, {self.from_view} of the view, "
            f"latest answer {self.latest * 1000:.0f} ms, wrong: {len(self.wrong)} {self.wrong[:3]}"
        )
        wrong, self.wrong = self.wrong, []
        self.slowest = self.latest = 0.0
        self.calls = self.from_view = 0
        assert not wrong, f"{mishap}: {len(wrong)} wrong: {wrong[:5]}"

    async def assert_view_answers(self) -> None:
        """The view is back, on both servers."""
        async with asyncio.timeout(5):
            for client in self.clients:
                while not (await client.used(self.accounts[0].name)).from_view:  # noqa: ASYNC110  nobody would tell us
                    await asyncio.sleep(0.05)


async def stopped(server: EmbeddedRedis, traffic: Traffic, proxy: Proxy) -> None:
    """Redis does nothing for two seconds, and then goes on with all that it was sent."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    await asyncio.sleep(2)
    os.kill(server.pid, signal.SIGCONT)


async def unreachable(server: EmbeddedRedis, traffic: Traffic, proxy: Proxy) -> None:
    """The network holds everything back for two seconds, and then delivers it."""
    proxy.dark = True
    await asyncio.sleep(2)
    proxy.dark = False


async def cut(server: EmbeddedRedis, traffic: Traffic, proxy: Proxy) -> None:
    """Connections break again and again."""
    for _ in range(20):
        proxy.cut()
        await asyncio.sleep(0.1)


async def flushed(server: EmbeddedRedis, traffic: Traffic, proxy: Proxy) -> None:
    """FLUSHALL, five times."""
    for _ in range(5):
        ask_redis(server, "FLUSHALL")
        await asyncio.sleep(0.1)


async def restarted_empty(server: EmbeddedRedis, traffic: Traffic, proxy: Proxy) -> None:
    """SIGKILL, and a Redis without data in its place."""
    server.kill()
    await asyncio.to_thread(server.start)


async def restored(server: EmbeddedRedis, traffic: Traffic, proxy: Proxy) -> None:
    """SIGKILL, and a Redis in its place that loads a dump made some time before."""
    ask_redis(server, "SAVE")
    await asyncio.sleep(1)
    server.kill()
    await asyncio.to_thread(server.start)
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() >= CUSTOMERS
        assert client.info("persistence")["loading"] == 0


async def gone(server: EmbeddedRedis, traffic: Traffic, proxy: Proxy) -> None:
    """No Redis for a while: the ledger answers."""
    server.kill()
    await asyncio.sleep(0.5)
    for client in traffic.clients:
        assert not (await client.used(traffic.accounts[0].name)).from_view
    await asyncio.to_thread(server.start)


def redis_address(server: EmbeddedRedis) -> tuple[str, int]:
    """For a proxy."""
    return "127.0.0.1", int(server.url.rpartition(":")[2].partition("/")[0])


def ask_redis(server: EmbeddedRedis, command: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(command)


@pytest.mark.slow
async def test_p4_redis_lost_and_restored(
    postgres_url: str, own_redis: EmbeddedRedis, start_server: StartServer, tmp_path: Path, rng: random.Random
) -> None:
    async with Proxy(*redis_address(own_redis)) as proxy, asyncio.timeout(100):
        url = f"redis://127.0.0.1:{proxy.port}/0"
        servers = await asyncio.gather(*(start_server(postgres_url, url) for _ in range(2)))
        tenant, key = await new_tenant(postgres_url)
        async with Client(servers[0].grpc_url, key) as one, Client(servers[1].grpc_url, key) as two:
            await one.have_meter()
            traffic = Traffic([one, two], rng)
            for account in traffic.accounts:
                await traffic.record(account)
            failures = []
            for mishap in (flushed, restarted_empty, restored, cut, stopped, unreachable, gone):
                async with traffic.flowing():
                    await mishap(own_redis, traffic, proxy)
                try:
                    await traffic.assert_right(mishap.__name__)
                except AssertionError as error:
                    failures.append(str(error))
                    await asyncio.sleep(6)
                await traffic.assert_view_answers()
                for dump in (tmp_path / "redis").rglob("dump.rdb"):
                    dump.unlink()
            assert not failures
    ledger = Ledger(postgres_url)
    acknowledged = {account.name: account.acknowledged for account in traffic.accounts}
    assert await ledger.used(tenant) == await ledger.counters(tenant) == acknowledged
    assert await ledger.differences() == []


@pytest.mark.slow
async def test_p4_answers_without_a_token_follow_closely(
    postgres_url: str, own_redis: EmbeddedRedis, start_server: StartServer, rng: random.Random
) -> None:
    """One server records and another is asked all the time for the same few customers. Its Redis lags, so that what
    Redis answers and its word that it changed arrive together."""
    async with Proxy(*redis_address(own_redis)) as proxy, asyncio.timeout(60):
        proxy.lag = 0.02
        writing, asked = await asyncio.gather(
            start_server(postgres_url, own_redis.url), start_server(postgres_url, f"redis://127.0.0.1:{proxy.port}/0")
        )
        _, key = await new_tenant(postgres_url)
        async with Client(writing.grpc_url, key) as writer, Client(asked.grpc_url, key) as reader:
            await writer.have_meter()
            traffic = Traffic([writer], rng)
            traffic.accounts = traffic.accounts[:4]
            wrong = []

            async def ask(account: Account, until: float) -> None:
                while (began := time.monotonic()) < until:
                    used = (await reader.used(account.name)).used
                    if used < account.known_at(began - LATE):
                        wrong.append(f"{account.name}: {used}, {began - account.missing_since(used):.2f} s late")

            for account in traffic.accounts:
                await traffic.record(account)
            for _ in range(5):
                until = time.monotonic() + SECONDS / 2
                asking = [asyncio.create_task(ask(account, until)) for account in traffic.accounts for _ in range(4)]
                while time.monotonic() < until:
                    await traffic.record(rng.choice(traffic.accounts))
                await asyncio.gather(*asking)
                await asyncio.sleep(0.2)
                for account in traffic.accounts:
                    used = (await reader.used(account.name)).used
                    if used != account.acknowledged:
                        wrong.append(f"{account.name} at rest: {used} instead of {account.acknowledged}")
            assert not wrong, f"{len(wrong)}: {wrong[:5]}"
            assert not traffic.wrong
